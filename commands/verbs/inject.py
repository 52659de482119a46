"""Put a piece of a donor to work inside a block of a target, behind bridges and a gate.

Example: abi inject --from llama:ffn.3 --to ref-gpt2 --layer 2 --name probe
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.move import PairingData
from commands.options.part import AlignOption, BridgeStart, LayerOption, PartOption
from commands.options.shared import Replace
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
    from transplant.tables.bridge import injection_table
    from transplant.workflows.inject.bridges import inject_config
    from transplant.workflows.inject.inject import run_injection
    from transplant.workflows.inject.injection import Injection

    config = inject_config(
        session, to, bridge, gate=gate, opening=opening, mixture=mixture, start=start,
        excerpts=excerpts, seed=session.seed,
    )  # fmt: skip
    injection = Injection(session, source, to, layer, data, config, bridge, opening, align)
    report = run_injection(injection, name, replace=replace)
    session.out.result(report, injection_table(report))
