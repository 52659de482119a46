"""Train bridges so that a donor's part adds what the target's own part adds.

Example: abi bridge-train --from llama:ffn.3 --to ref-gpt2 --layer 2 --activations acts.h5
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options.part import AlignOption, BridgeStart, GateOption, LayerOption, PartOption
from commands.options.shared import Batch, Rate, Replace
from commands.session import Session
from transplant.surgery.inject.config import BridgeTrainConfig, InjectConfig

DEFAULT, TRAIN = InjectConfig(), BridgeTrainConfig()


def bridge_train(
    session: Session,
    source: PartOption,
    to: Annotated[str, typer.Option(help="The target backbone.")],
    layer: LayerOption,
    activations: Annotated[
        Path, typer.Option(help="A file of `abi capture --taps block.2.mlp.in,block.2.mlp`.")
    ],
    mixture: Annotated[int, typer.Option(min=1, help="Specialist bridges.")] = DEFAULT.mixture,
    gate: GateOption = DEFAULT.gate,
    align: AlignOption = None,
    start: BridgeStart = "fit",
    data: Annotated[
        str | None, typer.Option(help="Text for the start and --lm-steps; default: the file's.")
    ] = None,
    excerpts: Annotated[int, typer.Option(min=1, help="Excerpts to fit on.")] = DEFAULT.excerpts,
    steps: Annotated[int, typer.Option(min=0, help="Steps on the file.")] = TRAIN.steps,
    batch: Batch = TRAIN.batch,
    learning_rate: Rate = TRAIN.learning_rate,
    lm_steps: Annotated[int, typer.Option(min=0, help="Steps on text.")] = TRAIN.lm_steps,
    lm_tokens: Annotated[int, typer.Option(min=64, help="Tokens of text to train on.")] = 200_000,
    eval_tokens: Annotated[int, typer.Option(min=64, help="Held-out tokens.")] = 20_000,
    name: Annotated[str, typer.Option(help="Its name in the registry.")] = "bridge",
    replace: Replace = False,
) -> None:
    """Train bridges so that a donor's part adds what the target's own part adds."""
    from transplant.tables.bridge import training_table
    from transplant.workflows.capture import corpus_of
    from transplant.workflows.inject.injection import Injection
    from transplant.workflows.inject.train_bridges import train_bridges

    session.library.claim(("bridge",), name, to, None, replace=replace)
    config = InjectConfig(
        gate=gate, mixture=mixture, start=start, excerpts=excerpts, seed=session.seed
    )
    recipe = BridgeTrainConfig(
        steps=steps, batch=batch, learning_rate=learning_rate, lm_steps=lm_steps, seed=session.seed
    )
    text = corpus_of(activations) if data is None else data
    injection = Injection(session, source, to, layer, text, config, align=align)
    report = train_bridges(
        injection, activations, recipe, name,
        text_tokens=lm_tokens, eval_tokens=eval_tokens, replace=replace,
    )  # fmt: skip
    session.out.result(report, training_table(report))
