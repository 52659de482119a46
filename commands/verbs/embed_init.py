"""Give a backbone the vocabulary of another: rows for its tokens, made from what both know.

Example: abi embed-init --from ref-llama --to ref-gpt2
"""

from __future__ import annotations

from typing import Annotated

from commands.options import EvalTokens, Field, Fields, NameOption, described_by
from commands.session import Session
from transplant.surgery.embeddings.config import EmbedConfig


@described_by("workflows.vocabulary.take_vocabulary")
def embed_init(
    session: Session,
    *,
    source: str,
    to: str,
    config: Annotated[
        EmbedConfig,
        Fields("method atoms", calibration_tokens=Field(low=64)),
    ],
    data: Annotated[str, Field(spelled="--eval-data --data")] = "prose",
    name: NameOption = None,
    eval_tokens: EvalTokens = 20_000,
) -> None:
    """Give a backbone the vocabulary of another."""
    from transplant.tables.vocabulary import vocabulary_table
    from transplant.workflows.vocabulary import take_vocabulary

    report = take_vocabulary(session, source, to, data, config, eval_tokens, name)
    title = f"{report['name']}  ({data}, held out)"
    session.out.result(report, vocabulary_table(title, to, report["text"], report["tried"]))
