"""What a budget of columns costs: recovered within it, beside that of all columns.

    python tests/benchmarks/bench_columns.py [--pairs DONOR:TARGET,...] [--share 3] [--out FILE]

A module's move in closed form is fitted on all columns of the target's layers and on one in
`--share` of them, and judged on the same held-out documents against the same native. A third fit,
on as many columns of random bases, is the control for R2. Exits 1 where the budget costs more than
0.01 of recovered, or where random bases do as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import torch

from transplant.alignment.basis import TapBases
from transplant.calibration import columns
from transplant.calibration.config import MoveConfig
from transplant.calibration.move import align
from transplant.files.json_text import to_json
from transplant.workflows.move.move import Move
from transplant.workflows.move.trials import Trials
from transplant.workspace import Workspace

PAIRS = "python-shipped@ref-gpt2:ref-llama,python-shipped@ref-gpt2:ref-gpt2-b"
MARGIN = 0.01


def random_bases(_: Any, leading: Any, budget: int) -> TapBases:
    """As many columns of each tap as the budget gives it, drawn at random."""
    draw = torch.Generator().manual_seed(0)
    share = budget // len(leading.taps)
    drawn = [torch.randn(len(tap.mean), share, generator=draw) for tap in leading.taps]
    return TapBases(tuple(torch.linalg.qr(block)[0] for block in drawn))


def compare(module: str, to: str, share: int, native: str, eval_tokens: int) -> dict[str, Any]:
    """One pair: recovered and R2 of both fits, and R2 of the control."""
    config = MoveConfig()
    move = Move(Workspace(seed=0), module, to, "prose", None, config)
    width = len(move.target.all_taps) * move.target.d_model
    trials = Trials(move, native, eval_tokens)
    move.output_map  # noqa: B018  fitted once for both
    found: dict[str, Any] = {"module": module, "target": to, "columns": width}
    for name, budget in (("all", width), ("budget", width // share)):
        began = time.monotonic()
        fitted = move.taking(pairing=move.pairing)
        fitted.config = dataclasses.replace(config, columns=budget)
        trials.keep(name, fitted.calibrated.correction, seconds=time.monotonic() - began)
        quality = fitted.bridge.quality
        found[name] = {
            "columns": budget, "r2": quality.r2, "taps": list(fitted.bridge.interface.taps),
            "gain": fitted.calibrated.gain,
        }  # fmt: skip
    for row in trials.judge(nib=False):
        found[row["name"]] |= {key: row[key] for key in ("recovered", "interval", "ppl", "seconds")}
    used = columns.used_directions
    try:
        columns.used_directions = random_bases
        third = dataclasses.replace(config, columns=width // share)
        found["r2_random_bases"] = align(move.pairing, third).quality.r2
    finally:
        columns.used_directions = used
    shares = [found[name]["recovered"] for name in ("all", "budget")]
    found["cost"] = None if None in shares else shares[0] - shares[1]
    return found


def main() -> int:
    """Prints one JSON object for each pair."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", default=PAIRS)
    parser.add_argument("--share", type=int, default=3)
    parser.add_argument("--native", default="python-shipped")
    parser.add_argument("--eval-tokens", type=int, default=40_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    for pair in given.pairs.split(","):
        module, _, to = pair.rpartition(":")
        rows.append(compare(module, to, given.share, given.native, given.eval_tokens))
        print(to_json(rows[-1], 2), flush=True)
    if given.out is not None:
        given.out.write_text(to_json(rows, 2) + "\n")
    worse = [row for row in rows if row["cost"] is None or row["cost"] > MARGIN]
    blind = [row for row in rows if row["r2_random_bases"] > row["budget"]["r2"] - 0.02]
    return int(bool(worse or blind))


if __name__ == "__main__":
    raise SystemExit(main())
