"""Train one of the reference backbones from scratch, as the shipped ones were.

Example: abi train-reference ref-gpt2 --out my-references
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from commands.options.shared import EvalTokens
from commands.output import table
from commands.session import Session
from transplant.training.config import PretrainConfig

PRETRAIN = PretrainConfig()


def train_reference(
    session: Session,
    name: Annotated[str, typer.Argument(help="ref-gpt2, ref-gpt2-b, ref-llama or ref-t5.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    tokens: Annotated[
        int | None, typer.Option(help="Tokens to read; default: as the shipped one did.")
    ] = None,
    max_chars: Annotated[
        int | None, typer.Option(help="Characters of `prose` to use; default: all.")
    ] = None,
    eval_tokens: EvalTokens = 100_000,
) -> None:
    """Train a reference backbone from scratch on `prose` (about an hour on one core)."""
    from commands.corpora import read_splits
    from commands.references import (
        TOKENIZER_CHARS,
        evaluate_reference,
        first_chars,
        save_reference,
    )
    from transplant.backbones.load import view_of
    from transplant.backbones.reference import CONTEXT, REFERENCES
    from transplant.errors import ExistsError, InputError
    from transplant.text.windows import pack_tokens
    from transplant.training.pretrain import pretrain_cycles

    if name not in REFERENCES:
        raise InputError("unknown reference", expected=f"one of {[*REFERENCES]}", found=name)
    if (out / name).exists():
        raise ExistsError(f"{out / name} is already there", hint="another --out")
    began = time.monotonic()
    spec = REFERENCES[name]
    splits = read_splits(session, "prose", max_chars)
    session.out.note("training the tokenizer ...")
    tokenizer = spec.make_tokenizer(first_chars(splits.train, TOKENIZER_CHARS))
    rows = pack_tokens(splits.train, tokenizer, CONTEXT)
    model = spec.make_model(tokenizer)
    cycles = spec.cycles if tokens is None else ((tokens, PRETRAIN.learning_rate),)
    with session.out.progress(f"training {name}") as progress:
        loss = pretrain_cycles(model, rows, cycles, spec.seed, progress)
    backbone = view_of(name, model, tokenizer)
    report = {
        "name": name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "tokens": sum(read for read, _ in cycles),
        "cycles": cycles,
        "train_loss": loss,
        "ppl": evaluate_reference(session, backbone, splits, eval_tokens),
        "split": splits.fingerprint,
        "seconds": time.monotonic() - began,
    }
    save_reference(session, backbone, out / name, report)
    shown = table(f"{name} -> {out / name}", "", "")
    for key in ("parameters", "tokens", "train_loss"):
        shown.add_row(key.replace("_", " "), f"{report[key]:,.6g}")
    for corpus, ppl in report["ppl"].items():
        shown.add_row(f"held-out perplexity, {corpus}", f"{ppl:.2f}")
    session.out.result(report, shown)
