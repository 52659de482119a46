"""Train bridges so that a donor's part adds what the target's own part adds.

Example: abi bridge-train --from llama:ffn.3 --to ref-gpt2 --layer 2 --activations acts.h5
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from commands.options import EvalTokens, Field, Fields, Replace, described_by
from commands.session import Session
from transplant.surgery.inject.config import BridgeTrainConfig, InjectConfig
from transplant.validation import Bounds


@described_by("workflows.inject.injection.Injection")
def bridge_train(
    session: Session,
    *,
    source: str,
    to: str,
    layer: Annotated[int, Bounds(0)],
    activations: Path,
    bridges: Annotated[
        InjectConfig,
        Fields("mixture gate excerpts seed", start=Field(default="fit")),
    ],
    align: str | None = None,
    data: str | None = None,
    recipe: Annotated[BridgeTrainConfig, Fields("steps batch learning_rate lm_steps seed")],
    lm_tokens: Annotated[int, Field(low=64, help="Tokens of text to train on.")] = 200_000,
    eval_tokens: EvalTokens = 20_000,
    name: Annotated[str, Field(help="Its name in the registry.")] = "bridge",
    replace: Replace = False,
) -> None:
    """Train bridges so that a donor's part adds what the target's own part adds.

    Args:
        activations: a file of `abi capture --taps block.2.mlp.in,block.2.mlp`.
        data: text for the start and --lm-steps; default: the file's.
    """
    from transplant.tables.bridge import training_table
    from transplant.workflows.capture import corpus_of
    from transplant.workflows.inject.injection import Injection
    from transplant.workflows.inject.train_bridges import train_bridges

    session.library.claim(("bridge",), name, to, None, replace=replace)
    text = corpus_of(activations) if data is None else data
    injection = Injection(session, source, to, layer, text, bridges, align=align)
    report = train_bridges(
        injection, activations, recipe, name,
        text_tokens=lm_tokens, eval_tokens=eval_tokens, replace=replace,
    )  # fmt: skip
    session.out.result(report, training_table(report))
