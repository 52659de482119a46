"""Put a piece of a donor to work inside a block of a target, behind bridges and a gate.

Example: abi inject --from llama:ffn.3 --to ref-gpt2 --layer 2 --name probe
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Field, Fields, Replace, described_by
from commands.options.move import PairingData
from commands.session import Session
from transplant.surgery.inject.config import InjectConfig
from transplant.validation import Bounds


@described_by("workflows.inject.injection.Injection")
def inject(
    session: Session,
    *,
    source: str,
    to: str,
    layer: Annotated[int, Bounds(0)],
    name: Annotated[str, Field(help="Hosted as NAME@<target>.")] = "probe",
    bridge: str | None = None,
    align: str | None = None,
    gate: str | None = None,
    opening: float | None = None,
    mixture: Annotated[int | None, Bounds(1)] = None,
    data: PairingData = "prose",
    config: Annotated[InjectConfig, Fields("start excerpts seed")],
    replace: Replace = False,
) -> None:
    """Put a piece of a donor to work inside a block of a target.

    Args:
        gate: `scalar`, vector or input; default: scalar, or the bridge's.
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
