"""Put a piece of a donor to work inside a block of a target, behind bridges and a gate.

Example: abi inject --from llama:ffn.3 --to ref-gpt2 --layer 2 --name probe
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.move import PairingData
from commands.options.part import AlignOption, BridgeStart, LayerOption, PartOption
from commands.options.shared import Replace
from commands.output import table
from commands.session import Session
from transplant.surgery.inject.config import GATE_KINDS, InjectConfig

DEFAULT = InjectConfig()


def inject(
    session: Session,
    source: PartOption,
    to: Annotated[str, typer.Option(help="The target backbone.")],
    layer: LayerOption,
    name: Annotated[str, typer.Option(help="Hosted as NAME@<target>.")] = "probe",
    bridge: Annotated[
        str | None, typer.Option(help="A bridge of `abi bridge-train` to start from.")
    ] = None,
    align: AlignOption = None,
    start: BridgeStart = DEFAULT.start,
    gate: Annotated[
        str | None,
        typer.Option(help=f"One of: {', '.join(GATE_KINDS)}; default: scalar, or the bridge's."),
    ] = None,
    opening: Annotated[
        float | None,
        typer.Option(
            "--open", help="The gate: 0 is shut, 1 the donor alone; default: shut, or the bridge's."
        ),
    ] = None,
    mixture: Annotated[
        int | None, typer.Option(min=1, help="Specialist bridges; default: 1, or the bridge's.")
    ] = None,
    data: PairingData = "prose",
    excerpts: Annotated[int, typer.Option(min=1, help="Excerpts to fit on.")] = DEFAULT.excerpts,
    replace: Replace = False,
) -> None:
    """Put a piece of a donor to work inside a block of a target."""
    from transplant.workflows.inject.bridges import inject_config
    from transplant.workflows.inject.injection import Injection

    session.library.check_free(("module",), name, to, None)
    session.library.claim(("injection",), name, to, None, replace=replace)
    config = inject_config(
        session, to, bridge, gate=gate, opening=opening, mixture=mixture, start=start,
        excerpts=excerpts, seed=session.seed,
    )  # fmt: skip
    injection = Injection(session, source, to, layer, data, config, bridge, opening, align)
    with injection.target.frozen():
        judged = injection.judged()
    report = injection.report(judged)
    results = {key: report[key] for key in ("inward", "reproduction", "gate")}
    entry = injection.store("injection", name, results, replace=replace)
    found = judged
    shown = table(f"{name}@{to}: {source} in block {layer}", "", "held out")
    shown.add_row("bridges from", report["start"])
    if report["inward"] is not None:
        shown.add_row("way in, R2", f"{report['inward']['r2']:.3f}")
    shown.add_row("target's own part, R2", f"{found.r2:.3f}")
    shown.add_row("cosine", f"{found.cosine:.3f}")
    shown.add_row("MSE (of the mean)", f"{found.mse:.4f} ({found.baseline:.4f})")
    shown.add_row("gate", f"{config.gate} {report['gate']['mean']:.3f}")
    session.out.result({"name": f"{name}@{to}", **report, "path": str(entry.path)}, shown)
