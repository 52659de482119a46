"""The main job, end to end: train a module, move it to other backbones, prove it.

Example: abi demo
Example: abi demo --real --domain pascal --domain-data real/pascal.jsonl
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer

from commands.options.shared import DomainText
from commands.session import Session
from transplant.files.writable import check_writable
from transplant.validation import Bounds

SCRIPT = """\
1. train a `{domain}` module in ref-gpt2                                about 55 s
2. train the native ceilings in ref-gpt2-b and ref-llama              about 95 s
3. move the module to both, fit the controls, evaluate                about 120 s
Nothing is trained on the targets but the ceilings; the moves take no gradient step."""
REAL_SCRIPT = """\
1. train a small `{domain}` module in smollm2, in {steps} short steps
2. train its ceiling in gemma
3. move the module from smollm2 to gemma, fit the controls, evaluate
About 10 minutes on one core. It shows that all of it works, not how well:
steps and text are few, and both models know `python` already (--domain-data
names other text)."""


def demo(
    session: Session,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the page and the JSON.")] = Path("abi-demo"),
    real: bool = False,
    domain: Annotated[str, typer.Option(help="The module's name.")] = "python",
    data: DomainText = None,
    steps: Annotated[int | None, Bounds(1)] = None,
    tokens: Annotated[int | None, Bounds(64)] = None,
    eval_tokens: Annotated[int | None, Bounds(64)] = None,
) -> None:
    """Train a module, move it to other backbones, prove it, write a page.

    Args:
        real: on the real models smollm2 and gemma, once added.
        steps: training steps at most; default: 250, or 30.
        tokens: training tokens; default: 200,000, or 15,000.
        eval_tokens: held-out tokens; default: 40,000, or 2,000.
    """
    from registry.store import Registry
    from transplant.pictures.demo import write_demo
    from transplant.pictures.page import require_plotting
    from transplant.tables.table import Sheet
    from transplant.tables.transfer import transfer_table
    from transplant.workflows.demo import REAL, SHIPPED, refer_to, require_added, run_demo

    plan = (REAL if real else SHIPPED).of(
        domain, data, steps=steps, train_tokens=tokens, eval_tokens=eval_tokens
    )
    if real:
        require_added(session.library, plan.backbones)
    require_plotting()
    check_writable(out, folder=True)
    began = time.monotonic()
    script = REAL_SCRIPT if real else SCRIPT
    session.out.note(script.format(domain=domain, steps=plan.train.steps))
    # A demo starts from nothing, in a registry of its own: it must not meet what users made.
    own = dataclasses.replace(session, library=Registry.open(out / "registry"))
    if real:
        refer_to(own, session.library, plan.backbones)
    report = run_demo(own, plan)
    report |= {"page": str(out / "index.html"), "registry": str(own.registry.root)}
    report["seconds"] = time.monotonic() - began
    write_demo(out, report)
    last = f"\n{report['seconds']:.0f} s; the page with the plot: {report['page']}"
    session.out.result(report, Sheet(*map(transfer_table, report["moves"]), last))
