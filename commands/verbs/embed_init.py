"""Give a backbone the vocabulary of another: rows for its tokens, made from what both know.

Example: abi embed-init --from ref-llama --to ref-gpt2
"""

from __future__ import annotations

import dataclasses
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
        str, typer.Option(help="Text to choose and evaluate on: prose, a file, a data set.")
    ] = "prose",
    name: NameOption = None,
    calibration_tokens: Annotated[
        int, typer.Option(min=64, help="Calibration tokens to choose the method on (best).")
    ] = DEFAULT.calibration_tokens,
    eval_tokens: EvalTokens = 20_000,
) -> None:
    """Give a backbone the vocabulary of another."""
    from commands.core_folders import refuse_taken
    from commands.corpora import read_splits
    from commands.render.vocabulary import vocabulary_table
    from commands.tokens import map_name, stored_map
    from commands.vocabularies import nats_per_character, store_backbone
    from transplant.surgery.embeddings.choose import choose_vocabulary
    from transplant.surgery.embeddings.vocabulary import with_vocabulary

    config = EmbedConfig(method=method, atoms=atoms, calibration_tokens=calibration_tokens)
    stored = name or f"{map_name(to).removeprefix('from-')}-in-{map_name(source)[5:]}-tokens"
    refuse_taken(session, stored)
    donor, target = session.load_backbone(source), session.load_backbone(to)
    spelled, origin = stored_map(session, target, donor)
    splits = read_splits(session, data, 8_000_000)
    ppl = {"before": nats_per_character(target, splits.eval, eval_tokens)}
    with target.frozen():
        made = choose_vocabulary(stored, target, donor, spelled, config, splits.calibration)
        ppl[made.method] = nats_per_character(made.backbone, splits.eval, eval_tokens)
        if made.method != "mean":
            mean = dataclasses.replace(config, method="mean")
            control = with_vocabulary(stored, target, donor, spelled, mean)
            ppl["mean"] = nats_per_character(control, splits.eval, eval_tokens)
    results = {"coverage": spelled.coverage(), "text": ppl, "tried": made.tried}
    facts = session.made(corpus=data, split=splits.fingerprint, token_map=origin,
                         method=made.method)  # fmt: skip
    parents = {"body": target.weights_sha256, "vocabulary": donor.weights_sha256}
    entry = store_backbone(session, made.backbone, facts, results=results, parents=parents)
    report = {"name": stored, "from": source, "to": to, "method": made.method,
              "token_map": origin, **results, "split": splits.fingerprint,
              "path": str(entry.path)}  # fmt: skip
    shown = vocabulary_table(f"{stored}  ({data}, held out)", to, ppl, made.tried)
    session.out.result(report, shown)
