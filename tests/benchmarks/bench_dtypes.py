#!/usr/bin/env python3
"""One move in bfloat16 and in float32: what is recovered, and how the NIB's agreement differs.

    python tests/benchmarks/bench_dtypes.py --real real --module pascal-s0@smollm2 --to gemma
        --native pascal-s0 --domain-data real/pascal.jsonl [--excerpts 150] [--eval-tokens 5000]
        [--out FILE] [--show]

Module and native are at hand, as `bench_real.py` trains them, and the same for both; only the
backbones compute in another type. Where the processor has no instructions that multiply bfloat16,
`rounded_arithmetic` computes what one that has them would. What the result file holds is not run
again. Exits 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from transplant.backbones.arithmetic import multiplies

ROOT = Path(__file__).parents[2]
TYPES = ("float32", "bfloat16")
GOALS = {"recovered": 0.01, "top5": 0.005}
"""How far the two types may be apart."""


def main() -> int:
    """Runs what is missing, prints all that there is, and judges it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real", type=Path, default=ROOT / "real", help="what fetch_real.py made")
    parser.add_argument("--module", default="pascal-s0@smollm2")
    parser.add_argument("--to", default="gemma")
    parser.add_argument("--native", default="pascal-s0")
    parser.add_argument("--domain-data", default="pascal.jsonl", help="a file of --real")
    parser.add_argument("--excerpts", type=int, default=150)
    parser.add_argument("--excerpt-chars", type=int, default=1500)
    parser.add_argument("--eval-tokens", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=ROOT / "examples/results/dtypes.json")
    parser.add_argument("--show", action="store_true", help="print what there is, run nothing")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(options.out.read_text()) if options.out.is_file() else {}
    move = f"{options.module} -> {options.to}"
    rows: dict[str, Any] = found.setdefault(move, {})
    for name in () if options.show else TYPES:
        if name not in rows:
            rows[name] = transferred(options, name)
            options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    missed = [line for move, rows in found.items() for line in compared(move, rows)]
    return 1 if missed else 0


def transferred(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """What a move in one type brings.

    Args:
        options: of the command line.
        name: the type.
    """
    real = options.real.resolve()
    text = str(real / options.domain_data)
    words = [
        "transfer", "--module", options.module, "--to", options.to, "--native", options.native,
        "--domain-data", text, "--pair-data", text, "--excerpts", str(options.excerpts),
        "--excerpt-chars", str(options.excerpt_chars), "--stride", "4",
        "--eval-tokens", str(options.eval_tokens), "--dtype", name, "--replace", "--json",
    ]  # fmt: skip
    slow = name == "bfloat16" and not multiplies(torch.device("cpu"), torch.bfloat16)
    program = "tests.benchmarks.rounded_arithmetic" if slow else "commands"
    print("abi", *words, file=sys.stderr, flush=True)
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", program, *words], stdout=subprocess.PIPE, text=True, check=False,
        env={**os.environ, "ABI_REGISTRY": str(real / "registry")},
    )  # fmt: skip
    if ran.returncode not in (0, 3):  # 3 is a judgement that did not pass
        sys.exit(f"exit {ran.returncode}: {ran.stdout}")
    report = json.loads(ran.stdout.replace(f"{real}/", "real/"))
    return {
        "command": " ".join(["abi", *words]).replace(f"{real}/", "real/"),
        "emulated": slow, "seconds": round(time.monotonic() - began, 1),
        "recovered": report["recovered"], "interval": report["interval"], "gain": report["gain"],
        "ppl": report["ppl"], "nib": report["nib"], "bridge": report["bridge"],
        "eval": report["eval"], "module_sha256": report["module_sha256"],
    }  # fmt: skip


def compared(move: str, rows: Mapping[str, Any]) -> list[str]:
    """Prints both types of a move, and gives a line for each goal that they miss."""
    print(move)
    for name, row in rows.items():
        low, high = row["interval"]["recovered"]["candidate"]
        print(
            f"  {name:9} recovered {row['recovered']['candidate']:.4f} ({low:.3f} to {high:.3f})"
            f"  top-5 {_top5(row):.4f}  gain {row['gain']}  {row['seconds']:.0f} s"
        )
    if set(TYPES) - set(rows):
        return []
    wide, narrow = (rows[name] for name in TYPES)
    apart = {
        "recovered": abs(wide["recovered"]["candidate"] - narrow["recovered"]["candidate"]),
        "top5": abs(_top5(wide) - _top5(narrow)),
    }
    missed = [
        f"{move}: {name} differs by {apart[name]:.4f}, goal {goal}"
        for name, goal in GOALS.items()
        if not apart[name] <= goal
    ]
    print("\n".join(f"  missed: {line}" for line in missed) or "  both goals are met")
    return missed


def _top5(row: Mapping[str, Any]) -> float:
    """The NIB's agreement on the five likeliest tokens; NaN where there was too little text."""
    return float(row["nib"].get("top5", float("nan")))


if __name__ == "__main__":
    sys.exit(main())
