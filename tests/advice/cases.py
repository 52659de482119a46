"""Numbers for every branch of the advice, and what must follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transplant.advice.measured import Candidate, Measured, Routed
from transplant.advice.taps import TapPair

PYTHON = Candidate(name="python@ref-gpt2", domain="python", recovered=0.4, gained=0.5)
BETTER = Candidate(name="python2@ref-gpt2", domain="python", recovered=0.6)
CHESS = Candidate(name="chess@ref-gpt2", domain="chess", gained=2.0)
THERE = Candidate(
    name="law@ref-gpt2", domain="law", recovered=0.7,
    moved="law-from-ref-gpt2@ref-llama", recovered_there=0.5,
)  # fmt: skip
ROUTED = Routed(
    model="law-from-ref-gpt2@ref-llama", tau=2.5, coverage=0.8, regress=0.004, budget=0.01
)
PLAIN: dict[str, Any] = {
    "donor": "ref-gpt2", "target": "ref-llama", "texts": ("prose",), "r2": 0.6, "cosine": 0.8,
    "exact_tokens": 0.87, "exact_text": 0.93, "paired": 0.95, "layers": 4,
    "impact": {"block.0.mlp": 0.3, "block.2.attn": 0.9, "block.3.mlp": 0.02},
    "pairs": (TapPair(1, 2, 0.2, 0.5), TapPair(2, 2, 0.5, 0.7), TapPair(3, 2, 0.9, 0.9)),
    "candidates": (PYTHON,),
}  # fmt: skip
APART = {"texts": ("prose", "./games.pgn"), "divergence": 0.4}
UNLIKE = {"r2": 0.1}


def measured(**changes: Any) -> Measured:
    """Two backbones between which a transfer works, but for what is changed."""
    return Measured(**{**PLAIN, **changes})


@dataclass(frozen=True)
class Case:
    """One branch."""

    name: str
    changes: dict[str, Any]
    strategy: str
    commands: tuple[str, ...] = ()


TRANSFER = "abi transfer --module {} --to {} --pair-data prose"
LLAMA = "ref-llama"
CASES = (
    Case("one module", {}, "transfer", (TRANSFER.format("python@ref-gpt2", LLAMA),)),
    Case(
        "the best of one task", {"candidates": (PYTHON, BETTER), "correction_cosine": 0.8},
        "transfer", (TRANSFER.format("python2@ref-gpt2", LLAMA),),
    ),
    Case(
        "what has been moved before what never was", {"candidates": (CHESS, PYTHON)},
        "transfer", (TRANSFER.format("python@ref-gpt2", LLAMA),),
    ),
    Case(
        "two tasks, by their texts", {"candidates": (PYTHON, CHESS), **APART},
        "transfer + fuse",
        (
            TRANSFER.format("python@ref-gpt2", LLAMA), TRANSFER.format("chess@ref-gpt2", LLAMA),
            "abi fuse --layer 3 python-from-ref-gpt2@ref-llama chess-from-ref-gpt2@ref-llama",
        ),
    ),
    Case(
        "two tasks, by their corrections",
        {"candidates": (PYTHON, THERE), "correction_cosine": 0.1}, "transfer + fuse",
        (
            TRANSFER.format("python@ref-gpt2", LLAMA),
            "abi fuse --layer 3 law-from-ref-gpt2@ref-llama python-from-ref-gpt2@ref-llama",
        ),
    ),
    Case(
        "one module for two tasks", APART, "transfer",
        (TRANSFER.format("python@ref-gpt2", LLAMA),),
    ),
    Case(
        "it is there", {"candidates": (THERE,)}, "done", ("abi show law-from-ref-gpt2@ref-llama",)
    ),
    Case(
        "no module", {"candidates": (), "domain": "python"}, "train, then transfer",
        (
            "abi train --backbone ref-gpt2 --domain python",
            TRANSFER.format("python@ref-gpt2", LLAMA),
        ),
    ),
    Case(
        "no module, text of a file", {"candidates": (), "texts": ("prose", "./my law.jsonl")},
        "train, then transfer",
        (
            "abi train --backbone ref-gpt2 --domain my-law --domain-data './my law.jsonl'",
            TRANSFER.format("my-law@ref-gpt2", LLAMA),
        ),
    ),
    Case(
        "another vocabulary", {"exact_text": 0.73, "candidates": (THERE, PYTHON)},
        "embed-init + transfer",
        (
            "abi embed-init --from ref-gpt2 --to ref-llama --name ref-llama-in-ref-gpt2-tokens "
            "--eval-data prose",
            TRANSFER.format("law@ref-gpt2", "ref-llama-in-ref-gpt2-tokens"),
        ),
    ),
    Case(
        "one space", {"shared_cosine": 0.99, "donor": "a-python", "target": "b"},
        "paste", ("abi paste --from a-python --to b --domain python",),
    ),
    Case(
        "cores of other spaces", {"shared_cosine": 0.1}, "transfer",
        (TRANSFER.format("python@ref-gpt2", LLAMA),),
    ),
    Case(
        "not aligned", UNLIKE, "inject + bridge-train",
        (
            "abi extract --backbone ref-gpt2 --components heads --name ref-gpt2-parts",
            "abi capture --backbone ref-llama --data prose --taps block.2.attn.in,block.2.attn "
            "--out ref-llama-block.2.attn.h5",
            "abi bridge-train --from ref-gpt2-parts:heads.2 --to ref-llama --layer 2 "
            "--activations ref-llama-block.2.attn.h5 --mixture 1",
            "abi inject --from ref-gpt2-parts:heads.2 --to ref-llama --layer 2 --bridge bridge "
            "--pair-data prose",
        ),
    ),
    Case("not aligned, two tasks", {**UNLIKE, **APART}, "inject + bridge-train"),
    Case(
        "not aligned, nothing that matters",
        {**UNLIKE, "impact": {"block.0.mlp": 0.01}, "domain": "python"}, "train on the target",
        ("abi train --backbone ref-llama --domain python",),
    ),
    Case("not aligned, parts without names", {**UNLIKE, "impact": {}}, "train on the target"),
)  # fmt: skip
