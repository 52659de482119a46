"""Give a backbone the vocabulary of another: rows for its tokens, made from what both know.

Example: abi embed-init --from ref-llama --to ref-gpt2
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.options import EvalTokens, NameOption
from commands.output import table
from commands.session import Session
from transplant.surgery.embeddings.config import METHODS, EmbedConfig

DEFAULT = EmbedConfig()


def embed_init(
    session: Session,
    source: Annotated[str, typer.Option("--from", help="The backbone whose vocabulary it is.")],
    to: Annotated[str, typer.Option("--to", help="The backbone that takes it.")],
    method: Annotated[str, typer.Option(help=f"{', '.join(METHODS)}.")] = DEFAULT.method,
    atoms: Annotated[
        int, typer.Option(min=1, help="Shared tokens that a row is combined from (omp).")
    ] = DEFAULT.atoms,
    data: Annotated[
        str, typer.Option(help="Held-out text: prose, python, a file, a folder, a data set.")
    ] = "prose",
    name: NameOption = None,
    eval_tokens: EvalTokens = 20_000,
) -> None:
    """Give a backbone the vocabulary of another."""
    from commands.core_folders import refuse_taken
    from commands.corpora import read_splits
    from commands.tokens import map_name, stored_map
    from commands.vocabularies import nats_per_character, store_backbone
    from transplant.surgery.embeddings.vocabulary import with_vocabulary

    config = EmbedConfig(method=method, atoms=atoms)
    stored = name or f"{map_name(to).removeprefix('from-')}-in-{map_name(source)[5:]}-tokens"
    refuse_taken(session, stored)
    donor, target = session.load_backbone(source), session.load_backbone(to)
    spelled, origin = stored_map(session, target, donor)
    splits = read_splits(session, data, 8_000_000)
    ppl = {"before": nats_per_character(target, splits.eval, eval_tokens)}
    with target.frozen():
        made = with_vocabulary(stored, target, donor, spelled, config)
        for other in dict.fromkeys((method, "mean")):
            again = dataclasses.replace(config, method=other)
            candidate = (
                made if other == method else with_vocabulary(stored, target, donor, spelled, again)
            )
            ppl[other] = nats_per_character(candidate, splits.eval, eval_tokens)
    results = {"coverage": spelled.coverage(), "text": ppl}
    facts = session.made(corpus=data, split=splits.fingerprint, token_map=origin)
    parents = {"body": target.weights_sha256, "vocabulary": donor.weights_sha256}
    entry = store_backbone(session, made, facts, results=results, parents=parents)
    report = {"name": stored, "from": source, "to": to, "method": method, "token_map": origin,
              **results, "split": splits.fingerprint, "path": str(entry.path)}  # fmt: skip
    shown = table(f"{stored}  ({data}, held out)", "", "perplexity", "nats a character")
    for system, found in ppl.items():
        label = f"{to} itself" if system == "before" else system
        shown.add_row(label, f"{found['ppl']:.2f}", f"{found['nats_per_character']:.4f}")
    session.out.result(report, shown)
