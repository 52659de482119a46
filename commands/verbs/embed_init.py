"""Give a backbone the vocabulary of another: rows for its tokens, made from what both know.

Example: abi embed-init --from ref-llama --to ref-gpt2
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.shared import EvalTokens, NameOption
from commands.session import Session
from transplant.surgery.embeddings.config import CHOICES, EmbedConfig

DEFAULT = EmbedConfig()


def embed_init(
    session: Session,
    source: Annotated[str, typer.Option("--from", help="The backbone whose vocabulary it is.")],
    to: Annotated[str, typer.Option("--to", help="The backbone that takes it.")],
    method: Annotated[
        str, typer.Option(help=f"{', '.join(CHOICES)}; best: whichever calibration text says.")
    ] = DEFAULT.method,
    atoms: Annotated[
        int, typer.Option(min=1, help="Shared tokens that a row is combined from (omp).")
    ] = DEFAULT.atoms,
    data: Annotated[
        str,
        typer.Option(
            "--eval-data",
            "--data",
            help="Text to choose and evaluate on.",
        ),
    ] = "prose",
    name: NameOption = None,
    calibration_tokens: Annotated[
        int, typer.Option(min=64, help="Calibration tokens to choose the method on (best).")
    ] = DEFAULT.calibration_tokens,
    eval_tokens: EvalTokens = 20_000,
) -> None:
    """Give a backbone the vocabulary of another."""
    from transplant.tables.vocabulary import vocabulary_table
    from transplant.workflows.vocabulary import take_vocabulary

    config = EmbedConfig(method=method, atoms=atoms, calibration_tokens=calibration_tokens)
    report = take_vocabulary(session, source, to, data, config, eval_tokens, name)
    title = f"{report['name']}  ({data}, held out)"
    session.out.result(report, vocabulary_table(title, to, report["text"], report["tried"]))
