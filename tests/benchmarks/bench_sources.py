#!/usr/bin/env python3
"""What a `python` module is worth on sources that it was not trained on, and what makes it so.

    python tests/benchmarks/bench_sources.py [--backbones ref-llama] [--seeds 0] [--rows NAME ...]
        [--move] [--folder build/sources] [--out examples/results/sources.json] [--show]

Installed packages that are named here are held out whole: what is trained on is the standard
library (`python`), all other packages (`python-packages` without these), or both. Each row differs
from the first in one thing. Every module is judged on held-out documents of the standard library,
on whole packages that the split held out, and on each of the named packages. `--move` moves the
module of ref-gpt2 to ref-llama, too, and judges it there with its controls. Rows that the result
file holds are not run again. Exits 1 where the row GOAL does not reach the goal, and says why.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.source_bench import Bench
from tests.benchmarks.source_corpora import PLACES, Sources
from tests.benchmarks.source_move import MOVE, move
from tests.benchmarks.source_rows import GOAL, ROWS
from tests.benchmarks.source_table import show, shown

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Runs the rows that were asked for, and prints the tables of all that there are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbones", nargs="*", default=["ref-llama"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--rows", nargs="*", default=[*ROWS], choices=ROWS)
    parser.add_argument("--places", nargs="*", default=[*PLACES], choices=PLACES)
    parser.add_argument("--move", action="store_true", help="ref-gpt2 to ref-llama, too")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/sources")
    parser.add_argument("--out", type=Path, default=ROOT / "examples/results/sources.json")
    parser.add_argument("--show", action="store_true", help="print the tables, run nothing")
    options = parser.parse_args()
    found: dict[str, Any] = {"rows": {}, "moves": {}}
    if options.out.is_file():
        found = json.loads(options.out.read_text(encoding="utf-8"))
    if not options.show:
        sources = Sources(options.folder)
        benches = {name: Bench(name, sources, options.places) for name in options.backbones}
        for bench in benches.values():
            run_rows(found, bench, options)
        for name in ("python", GOAL) if options.move else ():
            if name not in found["moves"]:
                found["moves"][name] = move(
                    name, benches.get(MOVE[1]) or Bench(MOVE[1], sources, [])
                )
                save(found, options.out)
    return show(found)


def run_rows(found: dict[str, Any], bench: Bench, options: argparse.Namespace) -> None:
    """Trains and judges the rows that are not there yet; each is kept as soon as it is there."""
    for seed in options.seeds:
        for name in options.rows:
            key = f"{bench.name}/{name}/{seed}"
            if key not in found["rows"]:
                found["rows"][key] = bench.run(ROWS[name], seed)
                save(found, options.out)
                print(key, *shown(found["rows"][key], bench.places[0]), file=sys.stderr)


def save(found: dict[str, Any], out: Path) -> None:
    """Writes the results so far."""
    command = ["python", "tests/benchmarks/bench_sources.py"]
    out.parent.mkdir(parents=True, exist_ok=True)
    found = {"command": " ".join(command), "torch": torch.__version__, **found}
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
