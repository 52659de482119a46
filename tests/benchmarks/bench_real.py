#!/usr/bin/env python3
"""Moves domain modules between two real models, SmolLM2-135M and Gemma 3 270M, cell by cell.

    python tests/benchmarks/fetch_real.py && python tests/benchmarks/bench_real.py
    python tests/benchmarks/bench_real.py --domains pascal --pairs domain --d-abi 128 --seeds 0

A cell is a direction, a domain, a width, a seed and what the move is paired on: text that the donor
writes (`donor`, by which gains are chosen as well), `prose`, the domain's text without its next
tokens (`domain`), or 32,000 tokens of it to learn from (`32k`). Each verb is a process of its own:
its seconds and peak memory stand in the result. Cells that the result file holds are not run again,
so a run can be stopped at any time; with other `--steps`, `--curve-steps` or `--eval-tokens` a cell
is another one, and so are the modules that it needs. A domain of which the native learns less than
0.15 nats per token on the target is not moved.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks.own_process import run_alone
from tests.benchmarks.real_cells import (
    BACKBONES,
    BUDGET,
    EVAL_TOKENS,
    PAIRS,
    Cell,
    Training,
    cell_of,
    cells,
    trainings,
)
from tests.benchmarks.real_tables import gain_of, tables
from transplant.files.former_keys import with_present_keys

ROOT = Path(__file__).parents[2]
DOMAINS = {"python": "python.jsonl", "chess": "chess.pgn", "pascal": "pascal.jsonl"}
SECOND = {"python": "python2.jsonl", "chess": "chess2.pgn", "pascal": "pascal2.jsonl"}
ROOM = 0.15  # nats per token that the native must gain
EXCERPTS = 300
EXCERPT_CHARS, STRIDE = 1_500, 4  # about as long as the windows of 512 tokens that are judged


def main() -> int:
    """Runs the cells that were asked for, and prints the table of all that there are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real", type=Path, default=ROOT / "real", help="what fetch_real.py made")
    parser.add_argument("--out", type=Path, default=ROOT / "examples/results/real.json")
    parser.add_argument("--donors", nargs="*", default=BACKBONES, choices=BACKBONES)
    parser.add_argument("--domains", nargs="*", default=[*DOMAINS], choices=DOMAINS)
    parser.add_argument("--pairs", nargs="*", default=PAIRS, choices=PAIRS)
    parser.add_argument("--d-abi", nargs="*", type=int, default=[128, 512, 1024])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--change", default="lacking", help="as of abi transfer")
    parser.add_argument("--inside", default="continued", help="as of abi transfer")
    parser.add_argument("--steps", type=int, default=300, help="of training")
    parser.add_argument("--curve-steps", type=int, help="of each run on 32,000 tokens")
    parser.add_argument("--eval-tokens", type=int, default=EVAL_TOKENS)
    parser.add_argument("--show", action="store_true", help="print the table, run nothing")
    options = parser.parse_args()
    bench = Bench(options.real.resolve(), options.out)
    if not options.show:
        bench.add_backbones()
        for cell in cells(options):
            bench.run(cell)
    Console(width=None if sys.stdout.isatty() else 150).print(*tables(bench.results))
    return 0


class Bench:
    """The results so far, and how more are made.

    Args:
        real: the folder of models and corpora.
        out: the result file.
    """

    def __init__(self, real: Path, out: Path) -> None:
        self.real, self.out = real, out
        self.results: dict[str, Any] = {"add": {}, "train": {}, "moves": []}
        if out.is_file():
            self.results = with_present_keys(json.loads(out.read_text(encoding="utf-8")))

    def add_backbones(self) -> None:
        """Puts both models into the registry beside them."""
        for name in BACKBONES:
            if name not in self.results["add"] or not self._knows(name):
                words = ("add", str(self.real / f"{name}.gguf"), "--name", name)
                self.results["add"][name] = self._abi(*words)
                self._save()

    def run(self, cell: Cell) -> None:
        """Makes what a cell needs, and the cell, where they are missing."""
        if any(cell_of(move, self.results) == cell for move in self.results["moves"]):
            return
        donor = self._train(cell.training(cell.donor))
        native = self._train(cell.training(cell.target))
        gained = gain_of(native["report"])
        if gained < ROOM:
            self._keep(cell, {"skipped": f"the native gains {gained:.3f} nats per token"})
            return
        name = native["report"]["name"].partition("@")[0]
        words = [
            "transfer", "--module", f"{donor['report']['name']}/d{cell.d_abi}",
            "--to", cell.target, "--excerpts", str(EXCERPTS),
            "--excerpt-chars", str(EXCERPT_CHARS), "--stride", str(STRIDE),
            "--native", name, "--change", cell.change, "--inside", cell.inside,
            "--eval-tokens", str(cell.eval_tokens), "--seed", str(cell.seed),
        ]  # fmt: skip
        text = self._text(cell.domain)
        if cell.pair == BUDGET:
            words += ["--pair-data", text, "--curve", BUDGET]
            words += ["--out", str(self.out.parent / "real")]
            words += ["--steps", str(cell.curve_steps)] if cell.curve_steps else []
        else:
            words += ["--name", f"{name}-{cell.pair}", "--replace"]
            words += ["--pair-data", text if cell.pair == "domain" else cell.pair]
            words += self._second(cell.domain)
            words += ["--text-free"] if cell.pair == "donor" else []
        self._keep(cell, self._abi(*words))

    def _train(self, wanted: Training) -> dict[str, Any]:
        here = (it for it in trainings(self.results, wanted) if self._knows(_place(it["report"])))
        found = next(here, None)
        if found is None:
            name = self._free_name(wanted)
            found = self._abi(
                "train", "--backbone", wanted.backbone, "--domain", wanted.domain,
                "--domain-data", self._text(wanted.domain), "--name", name,
                "--d-abi", str(wanted.d_abi), "--seed", str(wanted.seed),
                "--tokens", str(wanted.tokens), "--steps", str(wanted.steps),
                "--eval-tokens", str(wanted.eval_tokens), "--replace",
                *self._second(wanted.domain),
            )  # fmt: skip
            self.results["train"][f"{name}@{wanted.backbone}/d{wanted.d_abi}"] = found
            self._save()
        return found

    def _free_name(self, wanted: Training) -> str:
        """A name that no module of other steps and evaluation tokens has on that backbone."""
        name = f"{wanted.domain}-s{wanted.seed}"
        if self._knows(Path(wanted.backbone, f"d{wanted.d_abi}", "module", name)):
            return f"{name}-{wanted.steps}-{wanted.eval_tokens}"
        return name

    def _text(self, domain: str) -> str:
        return str(self.real / DOMAINS[domain])

    def _second(self, domain: str) -> list[str]:
        return ["--also-eval", f"second={self.real / SECOND[domain]}"]

    def _knows(self, place: str | Path) -> bool:
        return (self.real / "registry" / place / "manifest.json").is_file()

    def _keep(self, cell: Cell, found: dict[str, Any]) -> None:
        self.results["moves"].append({"cell": asdict(cell), **found})
        self._save()

    def _save(self) -> None:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        partial = self.out.with_suffix(".partial")
        partial.write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.out)

    def _abi(self, *words: str) -> dict[str, Any]:
        """A verb in a process of its own: its report, its seconds, its peak memory."""
        print("abi", *words, file=sys.stderr, flush=True)
        ran = run_alone(self.real / "registry", *words)
        text = ran.text.replace(f"{self.real}/", "real/")  # wherever it lies on this machine
        return {
            "command": " ".join(["abi", *words]).replace(f"{self.real}/", "real/"),
            "seconds": ran.seconds,
            "peak_mib": ran.peak_mib,
            "report": json.loads(text),
        }


def _place(report: dict[str, Any]) -> Path:
    """Where a registry has the module of a report, from its own folder."""
    name, _, backbone = report["name"].partition("@")
    return Path(backbone, f"d{report['d_abi']}", "module", name)


if __name__ == "__main__":
    sys.exit(main())
