"""Measure the perplexity of models on a text: a token, a byte and a document.

Example: abi perplexity python@ref-gpt2 ref-gpt2 ref-llama --data ./sources
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.shared import EvalTokens, HeldOutText
from commands.session import Session
from transplant.evaluation.perplexity_config import PerplexityConfig

READ = PerplexityConfig()


def perplexity(
    session: Session,
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Backbones, or what is hosted: NAME@BACKBONE."),
    ],
    data: HeldOutText = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Read every document, not the held-out split alone.")
    ] = READ.whole,
    window: Annotated[int, typer.Option(min=2, help="Tokens that are read at once.")] = READ.window,
    eval_tokens: EvalTokens = READ.eval_tokens,
) -> None:
    """Measure the perplexity of models on a text: a token, a byte and a document."""
    from transplant.tables.perplexity import perplexity_sheet

    config = PerplexityConfig(window=window, eval_tokens=eval_tokens, whole=whole)
    report = session.perplexity(names, data, config=config)
    session.out.result(report, perplexity_sheet(report))
