"""Put a piece of a donor to work inside a block of a target, behind bridges and a gate.

Example: abi inject --from llama:ffn.3 --to ref-gpt2 --layer 2 --name probe
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.groups import Fields
from commands.options.move import PairingData
from commands.options.part import AlignOption, LayerOption, PartOption
from commands.options.shared import Replace
from commands.session import Session
from transplant.surgery.inject.config import GATE_KINDS, InjectConfig
from transplant.validation import Bounds


def inject(
    session: Session,
    *,
    source: PartOption,
    to: Annotated[str, typer.Option(help="The target backbone.")],
    layer: LayerOption,
    name: Annotated[str, typer.Option(help="Hosted as NAME@<target>.")] = "probe",
    bridge: str | None = None,
    align: AlignOption = None,
    gate: Annotated[
        str | None,
        typer.Option(help=f"One of: {', '.join(GATE_KINDS)}; default: scalar, or the bridge's."),
    ] = None,
    opening: float | None = None,
    mixture: Annotated[int | None, Bounds(1)] = None,
    data: PairingData = "prose",
    config: Annotated[InjectConfig, Fields("start excerpts seed")],
    replace: Replace = False,
) -> None:
    """Put a piece of a donor to work inside a block of a target.

    Args:
        bridge: a bridge of `abi bridge-train` to start from.
        opening: the gate: 0 is shut, 1 the donor alone; default: shut, or the bridge's.
        mixture: specialist bridges; default: 1, or the bridge's.
    """
    from transplant.tables.bridge import injection_table
    from transplant.workflows.inject.bridges import inject_config
    from transplant.workflows.inject.inject import run_injection
    from transplant.workflows.inject.injection import Injection

    config = inject_config(
        session, to, bridge, gate=gate, opening=opening, mixture=mixture, start=config.start,
        excerpts=config.excerpts, seed=config.seed,
    )  # fmt: skip
    injection = Injection(session, source, to, layer, data, config, bridge, opening, align)
    report = run_injection(injection, name, replace=replace)
    session.out.result(report, injection_table(report))
