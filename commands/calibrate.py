"""Fit a new interface for a module, so that it works in another backbone.

Example: abi calibrate --module python@ref-gpt2 --to ref-llama --objective closed-form
"""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from commands.options import (
    MOVE,
    DomainData,
    Excerpts,
    Method,
    ModuleOption,
    NameOption,
    PairingData,
    Replace,
    TargetOption,
    TargetTaps,
    parse_taps,
)
from commands.output import table
from commands.session import Session
from transplant.errors import InputError

OBJECTIVES = ("closed-form",)
Objective = Annotated[str, typer.Option(help=f"One of: {', '.join(OBJECTIVES)}.")]


def calibrate(
    session: Session,
    module: ModuleOption,
    to: TargetOption,
    objective: Objective = "closed-form",
    data: PairingData = "prose",
    domain_data: DomainData = None,
    method: Method = MOVE.method,
    excerpts: Excerpts = MOVE.excerpts,
    taps: TargetTaps = "all",
    activations: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--from-activations",
            metavar="DONOR TARGET",
            help="Pair rows of two `abi capture` files of the same text, in place of --data.",
        ),
    ] = None,
    domain_activations: Annotated[
        Path | None,
        typer.Option(help="The target's rows on the domain's text, in place of --domain-data."),
    ] = None,
    name: NameOption = None,
    replace: Replace = False,
) -> None:
    """Fit a new interface for a module, so that it works in another backbone."""
    from commands.captured_pairs import reading_files
    from commands.moving import Move
    from commands.stored_bridges import reuse_bridge

    if objective not in OBJECTIVES:
        raise InputError("--objective", expected=f"one of {OBJECTIVES}", found=objective)
    config = dataclasses.replace(
        MOVE, method=method, excerpts=excerpts, taps=parse_taps(taps), seed=session.seed
    )
    move = Move(session, module, to, data, domain_data, config, name)
    if not replace:
        move.refuse_taken("module", "interface")
    if activations is None and domain_activations is not None:
        raise InputError("--domain-activations", expected="--from-activations beside it")
    source = reading_files(move, activations, domain_activations) if activations else nullcontext()
    with source:
        reused = reuse_bridge(move)
        stored = move.store({}, replace=replace)
    report = {
        "name": f"{move.moved_name}@{to}",
        "donor": module,
        "target": to,
        "objective": objective,
        "bridge": "from the registry" if reused else "fitted now",
        "gain": move.calibrated.gain,
        "shared_tokens": len(move.wanted.output_map.shared.ids_a),
        "token_coverage": move.wanted.output_map.shared.coverage,
        "module_sha256": {"donor": move.manifest.sha256, "target": stored.sha256},
        "seed": session.seed,
        "split": move.domain_split,
        "seconds": move.seconds,
    }
    shown = table(f"calibrated {report['name']}", "", "")
    for key in ("bridge", "gain", "shared_tokens", "token_coverage"):
        value = report[key]
        shown.add_row(key.replace("_", " "), f"{value:.3g}" if key != "bridge" else str(value))
    shown.add_row("next", f"abi nib --anchor NATIVE@{to} --candidate {report['name']}")
    session.out.result(report, shown)
