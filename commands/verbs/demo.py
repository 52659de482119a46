"""The main job, end to end: train a module, move it to two backbones, prove it.

Example: abi demo
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group

from commands.options.move import MOVE
from commands.options.shared import EVAL_TOKENS, EvalTokens
from commands.options.train import TRAIN
from commands.output import check_writable
from commands.session import Session

DONOR, TARGETS = "ref-gpt2", ("ref-gpt2-b", "ref-llama")
SCRIPT = """\
1. train a `python` module in ref-gpt2                                about {train:.0f} s
2. train the native ceilings in ref-gpt2-b and ref-llama              about {natives:.0f} s
3. move the module to both, fit the controls, evaluate                about {moves:.0f} s
Nothing is trained on the targets but the ceilings; the moves take no gradient step."""
SECONDS = {"train": 55, "natives": 95, "moves": 120}  # measured on 2 cores


def demo(
    session: Session,
    out: Annotated[Path, typer.Option(help="Folder for the page and the JSON.")] = Path("abi-demo"),
    steps: Annotated[int, typer.Option(help="Training steps at most.")] = 250,
    tokens: Annotated[int, typer.Option(help="Training tokens.")] = 200_000,
    eval_tokens: EvalTokens = EVAL_TOKENS,
) -> None:
    """Train a module, move it to two other backbones, prove it, write a page."""
    from commands.render.page import require_plotting, write_page
    from commands.render.transfer import transfer_table
    from registry.store import Registry
    from transplant.workflows.move.whole import WholeMove
    from transplant.workflows.train.module import TrainJob, run_train_job

    require_plotting()
    check_writable(out, folder=True)
    began = time.monotonic()
    session.out.note(SCRIPT.format(**SECONDS))
    # A demo starts from nothing, in a registry of its own: it must not meet what users made.
    session = dataclasses.replace(session, library=Registry.open(out / "registry"))
    config = dataclasses.replace(TRAIN, steps=steps, train_tokens=tokens, seed=session.seed)
    trained = {}
    for backbone in (DONOR, *TARGETS):
        job = TrainJob(backbone, "python", "python", "python", config, eval_tokens)
        session.out.note(f"training python@{backbone} ...")
        trained[backbone] = run_train_job(session, job, replace=True)
    reports = []
    for target in TARGETS:
        session.out.note(f"moving python@{DONOR} to {target} ...")
        move_config = dataclasses.replace(MOVE, seed=session.seed, donor_words=(0.0,))  # quick
        move = WholeMove(session, f"python@{DONOR}", target, "prose", None, move_config)
        reports.append(move.evidence(eval_tokens=eval_tokens).report)
        move.store({"recovered": reports[-1]["recovered"]}, replace=True)
    report = {
        "trained": trained,
        "moves": reports,
        "page": str(out / "index.html"),
        "registry": str(session.registry.root),
        "seconds": time.monotonic() - began,
    }
    write_page(out, report)
    session.out.result(
        report,
        Group(
            *(transfer_table(moved) for moved in reports),
            f"\n{report['seconds']:.0f} s; the page with the plot: {report['page']}",
        ),
    )
