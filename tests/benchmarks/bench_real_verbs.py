#!/usr/bin/env python3
"""Each of the other verbs once, on two real models, as `bench_real.py` has added them.

    python tests/benchmarks/bench_real_verbs.py --real real [--only capture,inject] [--show]

A verb is a process of its own; its command, its seconds, its peak memory and its report are kept.
What the result file holds is not run again, so a run can be stopped at any time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.own_process import run_alone

ROOT = Path(__file__).parents[2]
MODULE = "pascal-s0@smollm2"
RUNS: Mapping[str, str] = {
    "capture": "capture --backbone smollm2 --data {real}/pascal.jsonl --taps all --stored bf16"
    " --max-tokens 20000 --out {work}/pascal.h5",
    "advise": "advise --from smollm2 --to gemma --domain pascal --data {real}/pascal.jsonl"
    " --excerpts 60 --impact-tokens 1000 --out {work}/advice",
    "embed-init": "embed-init --from smollm2 --to gemma --eval-data prose"
    " --calibration-tokens 2000 --eval-tokens 4000 --name gemma-as-smollm2",
    "extract": "extract --backbone smollm2 --components ffn --name smollm2",
    "inject": "inject --from smollm2:ffn.10 --to gemma --layer 8 --excerpts 60"
    " --pair-data {real}/pascal.jsonl --name probe --replace",
    "train": "train --backbone smollm2 --domain chess --domain-data {real}/chess.pgn"
    " --name chess-s0 --steps 60 --tokens 60000 --eval-tokens 4000"
    " --also-eval second={real}/chess2.pgn --replace",
    "fuse": "fuse pascal-s0@smollm2 chess-s0@smollm2 --domain-data {real}/pascal.jsonl"
    " --domain-data {real}/chess.pgn --layer 29 --steps 40 --tokens 40000 --eval-tokens 4000"
    " --replace",
    "invariance": f"invariance --module {MODULE} --kind lora --update-data prose --steps 40"
    " --eval-tokens 4000",
    "paste": "paste --from 48M --to 150M --init-missing 0 --out {work}/150M --replace",
}
"""The words of each run; a later one may need what an earlier one has made."""
VERDICTS = (0, 3)
"""Exit codes of a run to its end: 3 is a judgement that did not pass."""


def main() -> int:
    """Runs what is missing, and prints all that there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real", type=Path, default=ROOT / "real", help="what fetch_real.py made")
    parser.add_argument("--out", type=Path, default=ROOT / "examples/results/real-verbs.json")
    parser.add_argument("--only", default=",".join(RUNS), help="of: " + ", ".join(RUNS))
    parser.add_argument("--show", action="store_true", help="print the table, run nothing")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(options.out.read_text()) if options.out.is_file() else {}
    real = options.real.resolve()
    work = real / "verbs"
    if not options.show:
        if not (real / "registry").is_dir():
            parser.error(f"no {real / 'registry'}: bench_real.py adds the models there")
        work.mkdir(exist_ok=True)
    for name in [] if options.show else options.only.split(","):
        if name in found:
            continue
        words = [word.format(real=real, work=work) for word in RUNS[name].split()]
        print("abi", *words, file=sys.stderr, flush=True)
        ran = run_alone(real / "registry", *words, verdicts=VERDICTS)
        found[name] = {
            "command": " ".join(["abi", *words]).replace(f"{real}/", "real/"),
            "seconds": ran.seconds,
            "peak_mib": ran.peak_mib,
            "report": json.loads(ran.text.replace(f"{real}/", "real/")),
        }
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    shown = Table("run", "command", "s", "MiB")
    for name in filter(found.__contains__, RUNS):
        row = found[name]
        shown.add_row(name, row["command"], f"{row['seconds']:.0f}", str(row["peak_mib"]))
    Console(width=None if sys.stdout.isatty() else 150).print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
