"""The main job, end to end: train a module, move it to other backbones, prove it.

Example: abi demo
Example: abi demo --real --domain pascal --domain-data real/pascal.jsonl
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from commands.errors import flags_of, typed_as
from commands.options import DomainText, Field
from commands.session import Session
from transplant.validation import Bounds
from transplant.workflows.out_folder import check_out


def demo(
    session: Session,
    *,
    out: Annotated[
        Path, Field(help="Folder for the page, the JSON and a registry of its own.")
    ] = Path("abi-demo"),
    real: bool = False,
    domain: Annotated[str, Field(help="The module's name.")] = "python",
    data: DomainText = None,
    steps: Annotated[int | None, Bounds(1)] = None,
    tokens: Annotated[int | None, Bounds(64)] = None,
    eval_tokens: Annotated[int | None, Bounds(64)] = None,
) -> None:
    """Train a module, move it to other backbones, prove it, write a page.

    Args:
        real: on the real models smollm2 and gemma, once added to the registry.
        steps: training steps at most; default: 250, or 30.
        tokens: training tokens; default: 200,000, or 15,000.
        eval_tokens: held-out tokens; default: 40,000, or 2,000.
    """
    from registry.store import Registry
    from transplant.pictures.demo import write_demo
    from transplant.tables.table import Sheet
    from transplant.tables.transfer import transfer_table
    from transplant.workflows.demo import (
        REAL,
        REAL_SCRIPT,
        SCRIPT,
        SHIPPED,
        refer_to,
        require_added,
        run_demo,
    )  # fmt: skip

    plan = (REAL if real else SHIPPED).of(
        domain, data, steps=steps, train_tokens=tokens, eval_tokens=eval_tokens
    )
    if real:
        require_added(session.library, plan.backbones)
    check_out(out)
    session.out.note(typed_as((REAL_SCRIPT if real else SCRIPT).format(plan=plan), flags_of(demo)))
    # A demo starts from nothing, in a registry of its own: it must not meet what users made.
    own = dataclasses.replace(session, library=Registry.open(out / "registry"))
    if real:
        refer_to(own, session.library, plan.backbones)
    report = run_demo(own, plan)
    report |= {"page": str(out / "index.html"), "registry": str(own.registry.root)}
    write_demo(out, report)
    last = f"\n{report['seconds']:.0f} s; the page with the plot: {report['page']}"
    session.out.result(report, Sheet(*map(transfer_table, report["moves"]), last))
