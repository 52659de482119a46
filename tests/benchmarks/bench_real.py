#!/usr/bin/env python3
"""Moves domain modules between two real models, SmolLM2-135M and Gemma 3 270M, cell by cell.

    python tests/benchmarks/fetch_real.py && python tests/benchmarks/bench_real.py
    python tests/benchmarks/bench_real.py --domains pascal --pairs domain --d-abi 128 --seeds 0

A cell is a direction, a domain, a width, a seed and what the move is paired on: text that the donor
writes (`donor`, by which gains are chosen as well), `prose`, the domain's text without its next
tokens (`domain`), or 32,000 tokens of it to learn from (`32k`). Each verb is a process of its own:
its seconds and peak memory stand in the result. Cells that the result file holds are not run again,
so a run can be stopped at any time. A domain of which the native learns less than 0.15 nats per
token on the target is not moved.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.own_process import run_alone
from transplant.files.former_keys import with_present_keys
from transplant.tables.shares import share_text

ROOT = Path(__file__).parents[2]
BACKBONES = ("smollm2", "gemma")
DOMAINS = {"python": "python.jsonl", "chess": "chess.pgn", "pascal": "pascal.jsonl"}
SECOND = {"python": "python2.jsonl", "chess": "chess2.pgn", "pascal": "pascal2.jsonl"}
PAIRS = ("donor", "prose", "domain", "32k")
ROOM = 0.15  # nats per token that the native must gain
EXCERPTS, TRAIN_TOKENS, EVAL_TOKENS = 300, 100_000, 10_000
EXCERPT_CHARS, STRIDE = 1_500, 4  # about as long as the windows of 512 tokens that are judged


@dataclass(frozen=True)
class Cell:
    """One move."""

    donor: str
    target: str
    domain: str
    d_abi: int
    seed: int
    pair: str
    change: str = "begins-with"
    inside: str = "left-out"


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
    steps = options.steps, options.curve_steps
    bench = Bench(options.real.resolve(), options.out, *steps, options.eval_tokens)
    if not options.show:
        bench.add_backbones()
        for cell in cells(options):
            bench.run(cell)
    Console(width=None if sys.stdout.isatty() else 150).print(*tables(bench.results))
    return 0


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """Every cell that was asked for."""
    for donor, domain, d_abi, seed, pair in product(
        options.donors, options.domains, options.d_abi, options.seeds, options.pairs
    ):
        (target,) = {*BACKBONES} - {donor}
        yield Cell(donor, target, domain, d_abi, seed, pair, options.change, options.inside)


class Bench:
    """The results so far, and how more are made.

    Args:
        real: the folder of models and corpora.
        out: the result file.
        steps: of training.
        curve_steps: of each run on 32,000 tokens; None: as many as the objective has.
        eval_tokens: held out.
    """

    def __init__(
        self, real: Path, out: Path, steps: int, curve_steps: int | None, eval_tokens: int
    ) -> None:
        self.real, self.out, self.steps, self.eval_tokens = real, out, steps, eval_tokens
        self.curve_steps = curve_steps
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
        if any(Cell(**move["cell"]) == cell for move in self.results["moves"]):
            return
        self._train(cell, cell.donor)
        native = self._train(cell, cell.target)
        gained = gain_of(native["report"])
        if gained < ROOM:
            self._keep(cell, {"skipped": f"the native gains {gained:.3f} nats per token"})
            return
        module = f"{self._name(cell)}@{cell.donor}/d{cell.d_abi}"
        words = [
            "transfer", "--module", module, "--to", cell.target, "--excerpts", str(EXCERPTS),
            "--excerpt-chars", str(EXCERPT_CHARS), "--stride", str(STRIDE),
            "--native", self._name(cell), "--change", cell.change, "--inside", cell.inside,
            "--eval-tokens", str(self.eval_tokens), "--seed", str(cell.seed),
            "--name", f"{self._name(cell)}-{cell.pair}", "--replace",
        ]  # fmt: skip
        if cell.pair == "32k":
            words += ["--pair-data", self._text(cell), "--curve", "32k"]
            words += ["--out", str(self.out.parent / "real")]
            words += ["--steps", str(self.curve_steps)] if self.curve_steps else []
        else:
            words += ["--pair-data", self._text(cell) if cell.pair == "domain" else cell.pair]
            words += [*self._second(cell), *(["--text-free"] if cell.pair == "donor" else [])]
        self._keep(cell, self._abi(*words))

    def _train(self, cell: Cell, backbone: str) -> dict[str, Any]:
        key = f"{self._name(cell)}@{backbone}/d{cell.d_abi}"
        here = Path(backbone, f"d{cell.d_abi}", "module", self._name(cell))
        if key not in self.results["train"] or not self._knows(here):
            self.results["train"][key] = self._abi(
                "train", "--backbone", backbone, "--domain", cell.domain,
                "--domain-data", self._text(cell), "--name", self._name(cell),
                "--d-abi", str(cell.d_abi), "--seed", str(cell.seed),
                "--tokens", str(TRAIN_TOKENS), "--steps", str(self.steps),
                "--eval-tokens", str(self.eval_tokens), "--replace", *self._second(cell),
            )  # fmt: skip
            self._save()
        return self.results["train"][key]

    def _name(self, cell: Cell) -> str:
        return f"{cell.domain}-s{cell.seed}"

    def _text(self, cell: Cell) -> str:
        return str(self.real / DOMAINS[cell.domain])

    def _second(self, cell: Cell) -> list[str]:
        return ["--also-eval", f"second={self.real / SECOND[cell.domain]}"]

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


def tables(results: dict[str, Any]) -> list[Table]:
    """What was trained, and what was moved, one line a cell and seed."""
    trained = Table("trained", "raw", "native", "gain (nats)", "second source", "s", "MiB")
    for name, found in results["train"].items():
        report = found["report"]
        trained.add_row(
            name, f"{report['ppl']['raw']:.2f}", f"{report['ppl']['native']:.2f}",
            _interval(report["difference"]["raw"]), _second(report, "native"),
            f"{found['seconds']:.0f}", str(found["peak_mib"]),
        )  # fmt: skip
    moved = Table("move", "on", "seed", "recovered", "donor-", "module-attributable", "NIB top-5",
                  "best controls", "second source", "s", "MiB")  # fmt: skip
    for move in results["moves"]:
        cell = move["cell"]
        name = f"{cell['domain']} {cell['donor']} -> {cell['target']} d{cell['d_abi']}"
        if "skipped" in move:
            moved.add_row(name, cell["pair"], str(cell["seed"]), move["skipped"])
            continue
        pair = f"{cell['pair']}, {cell.get('change', Cell.change)}"
        if cell.get("inside", Cell.inside) != Cell.inside:
            pair += f", {cell['inside']} inside"
        moved.add_row(name, pair, str(cell["seed"]), *_row(move["report"]),
                      f"{move['seconds']:.0f}", str(move["peak_mib"]))  # fmt: skip
    return [trained, moved]


def _row(report: dict[str, Any]) -> Sequence[str]:
    if "curves" in report:
        moved, *others = (
            f"{share_text(points[-1]['recovered'])}" for points in report["curves"].values()
        )
        names = [name for name in report["curves"] if name != "moved"]
        beside = [f"{name} {share}" for name, share in zip(names, others, strict=True)]
        return (moved, "", "", "", ", ".join(beside), "")
    recovered = report["recovered"]
    controls = {k: v for k, v in recovered.items() if k not in ("candidate", "native")}
    best = sorted(controls, key=lambda name: -(controls[name] or 0))[:2]
    return (
        share_text(recovered["candidate"]), share_text(report["donor_attributable"]),
        share_text(report["module_attributable"]), _number(report["nib"].get("top5")),
        ", ".join(f"{name} {share_text(controls[name])}" for name in best),
        _second(report, "candidate"),
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def gain_of(report: dict[str, Any]) -> float:
    """What a native gains over the raw backbone, in nats per token."""
    return report["difference"]["raw"]["nats"]


def _interval(found: dict[str, float]) -> str:
    low, high = found["interval"]
    return f"{found['nats']:+.3f} ({low:+.3f} .. {high:+.3f})"


def _second(report: dict[str, Any], system: str) -> str:
    found = report.get("sources", {}).get("out_of_source", {}).get("second")
    return "-" if not found else _interval(found["gain"][system])


if __name__ == "__main__":
    sys.exit(main())
