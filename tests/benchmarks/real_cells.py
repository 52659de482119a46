"""Cells of `bench_real.py`: one move each, with every option that changes what comes out of it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

BACKBONES = ("smollm2", "gemma")
PAIRS = ("donor", "prose", "domain", "32k")
BUDGET = "32k"  # the pair that is a budget of tokens to learn from
TRAIN_TOKENS, EVAL_TOKENS = 100_000, 10_000


@dataclass(frozen=True)
class Training:
    """One module that is trained on one backbone."""

    backbone: str
    domain: str
    d_abi: int
    seed: int
    steps: int | None
    eval_tokens: int | None
    tokens: int = TRAIN_TOKENS


@dataclass(frozen=True)
class Cell:
    """One move; None for what the record of an old one does not tell."""

    donor: str
    target: str
    domain: str
    d_abi: int
    seed: int
    pair: str
    change: str = "begins-with"
    inside: str = "left-out"
    steps: int | None = None
    """Of the training of donor and native."""
    eval_tokens: int | None = None
    curve_steps: int | None = None
    """Of each run on a budget; None for as many as the objective has, and where there is none."""

    def training(self, backbone: str) -> Training:
        """What is trained on one of its two backbones."""
        return Training(backbone, self.domain, self.d_abi, self.seed, self.steps, self.eval_tokens)


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """Every cell that was asked for."""
    for donor, domain, d_abi, seed, pair in product(
        options.donors, options.domains, options.d_abi, options.seeds, options.pairs
    ):
        (target,) = {*BACKBONES} - {donor}
        yield Cell(
            donor, target, domain, d_abi, seed, pair, options.change, options.inside,
            options.steps, options.eval_tokens, options.curve_steps if pair == BUDGET else None,
        )  # fmt: skip


def training_of(command: str) -> Training:
    """What a record of `abi train` is of, by the words that were run."""
    given = _options(command)
    return Training(
        given["backbone"], given["domain"], int(given["d-abi"]), int(given["seed"]),
        int(given["steps"]), int(given["eval-tokens"]), int(given["tokens"]),
    )  # fmt: skip


def trainings(results: Mapping[str, Any], wanted: Training) -> Iterator[dict[str, Any]]:
    """The records of trainings with these settings."""
    for found in results["train"].values():
        if training_of(found["command"]) == wanted:
            yield found


def cell_of(move: Mapping[str, Any], results: Mapping[str, Any]) -> Cell:
    """The cell of a move.

    Records were once kept without steps and evaluation tokens, and every module of a seed and a
    width was trained alike: these are read from what was run.
    """
    cell = Cell(**move["cell"])
    if "steps" in move["cell"]:
        return cell
    native = results["train"].get(f"{cell.domain}-s{cell.seed}@{cell.target}/d{cell.d_abi}")
    if native is not None:
        trained = training_of(native["command"])
        cell = replace(cell, steps=trained.steps, eval_tokens=trained.eval_tokens)
    given = _options(move.get("command", ""))
    if "eval-tokens" in given:
        cell = replace(cell, eval_tokens=int(given["eval-tokens"]))
    if "steps" in given:
        cell = replace(cell, curve_steps=int(given["steps"]))
    return cell


def _options(command: str) -> dict[str, str]:
    """The word after each option, by the option; of one that is repeated, the last."""
    words = shlex.split(command)
    return {
        word.removeprefix("--"): value
        for word, value in zip(words, words[1:], strict=False)
        if word.startswith("--")
    }
