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
import sysconfig
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from registry.store import Registry
from transplant.backbones.view import Backbone
from transplant.calibration.config import GateConfig
from transplant.calibration.gate_fit import GateText, fit_gate
from transplant.evaluation.evidence import difference, in_nats
from transplant.evaluation.likelihood import Corrector, Likelihood, score_rows
from transplant.modules.correction import Correction
from transplant.modules.gate import Gated
from transplant.tables.shares import share_text
from transplant.text import builtin
from transplant.text.documents import Document, read_documents
from transplant.text.splits import Splits, split_documents
from transplant.text.windows import Window, texts_of
from transplant.training.config import TrainConfig
from transplant.training.loop import mean_loss, train_module
from transplant.training.share import Share, shares_of
from transplant.workflows.corpus import windows_of
from transplant.workflows.train.job import TrainJob
from transplant.workflows.train.module import run_train_job
from transplant.workspace import Workspace

ROOT = Path(__file__).parents[2]
HELD_OUT = ("typer", "sympy", "peft", "pandas", "networkx", "torch/optim", "rich")
RELATED = frozenset({"click"})  # which typer has a copy of
TOKENS = 16_384  # of each source that is judged on
SPLIT = "held-out packages"
HOME = "standard library"
GAINS = (0.0, 0.25, 0.5, 0.75, 1.0)
MOVE = ("ref-gpt2", "ref-llama")
MOVED = (
    "donor", "target", "recovered", "interval", "donor_attributable", "module_attributable",
    "best_donor_free", "best_module_free", "sources", "seconds",
)  # fmt: skip
PLACES = {"anywhere": 0, "beginnings": None}
COLUMNS = (HOME, SPLIT, "named packages", "share", "worst of them", "worse than raw")
HELD_TOKENS = TrainConfig.calibration_tokens
ANY = {"window_choice": "any"}
BASE = TrainConfig(steps=250, train_tokens=200_000)


@dataclass(frozen=True)
class Row:
    """One way to train."""

    text: str = "python"
    """What is trained on: `python`, `packages` or `both`."""
    stop: str | None = None
    """The `window_choice` of packages' calibration split, where that decides early stopping."""
    gain: str | None = None
    """The same, where that chooses a gain afterwards."""
    gate: bool = False
    """Whether a gate is fitted against prose afterwards."""
    changed: dict[str, Any] = field(default_factory=dict)
    """Of the recipe."""


ROWS = {
    "python": Row(),
    "50 steps": Row(changed={"steps": 50}),
    "100 steps": Row(changed={"steps": 100}),
    "500 steps": Row(changed={"steps": 500}),
    "800k tokens": Row(changed={"train_tokens": 800_000}),
    "d_abi 32": Row(changed={"d_abi": 32}),
    "d_abi 512": Row(changed={"d_abi": 512}),
    "weight decay 0.3": Row(changed={"weight_decay": 0.3}),
    "learning rate 5e-4": Row(changed={"learning_rate": 5e-4}),
    "stopped by packages": Row(stop="first", changed={"evaluate_every": 10}),
    "stopped by packages, any": Row(stop="any", changed={"evaluate_every": 25}),
    "gain by packages": Row(gain="first"),
    "gain by packages, any": Row(gain="any"),
    "gate against prose": Row(gate=True),
    "any windows": Row(changed=ANY),
    "any, 800k tokens": Row(changed={**ANY, "train_tokens": 800_000}),
    "packages": Row("packages"),
    "packages, any": Row("packages", changed=ANY),
    "both": Row("both"),
    "both, any": Row("both", changed=ANY),
    "both, any, 800k tokens": Row("both", changed={**ANY, "train_tokens": 800_000}),
    "both, any, d_abi 512": Row("both", changed={**ANY, "d_abi": 512}),
    "both, any, 800k tokens, d_abi 512": Row(
        "both", changed={**ANY, "train_tokens": 800_000, "d_abi": 512}
    ),
}
GOAL, SHARE = "both, any", 0.5  # of the gain in source that is wanted elsewhere


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


class Sources:
    """The corpora, as files and as documents.

    Args:
        folder: where files are written, if they are not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, Path(sysconfig.get_paths()["purelib"])
        folder.mkdir(parents=True, exist_ok=True)
        packages = folder / "packages.jsonl"
        if not packages.is_file():
            named = {name.partition("/")[0] for name in HELD_OUT} | RELATED
            rows = builtin.packages_of(self.site)
            _write(packages, [row for row in rows if row[0].lower() not in named])
        for name in HELD_OUT:
            if not self.file_of(name).is_file():
                rows = builtin.source_of(self.site / name, builtin.SKIPPED | {"_click"})
                _write(self.file_of(name), rows)
        self.texts = {
            "python": "python", "packages": str(packages), "both": f"python,{packages}",
        }  # fmt: skip

    def file_of(self, name: str) -> Path:
        """The file of a source."""
        return self.folder / f"{name.replace('/', '.').replace(' ', '-')}.jsonl"

    @cached_property
    def splits(self) -> dict[str, Splits]:
        """What is trained on, by name."""
        return {n: split_documents(read_documents(text)) for n, text in self.texts.items()}

    @cached_property
    def prose(self) -> Splits:
        """General text, for the gate."""
        return split_documents(read_documents("prose", max_chars=4_000_000))

    @cached_property
    def judged(self) -> dict[str, Sequence[Document]]:
        """What modules are judged on, by name: nothing of it is trained on in any row."""
        named = {name: read_documents(str(self.file_of(name))) for name in HELD_OUT}
        home, split = self.splits["python"].eval, self.splits["packages"].eval
        return {HOME: home, SPLIT: split, **named}


def _write(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    lines = (json.dumps({"name": name, "text": text}) + "\n" for name, text in rows)
    path.write_text("".join(lines), encoding="utf-8")


class Judged:
    """A source that is judged on: its hidden states, read once, and what they cost the backbone.

    Args:
        backbone: the target.
        windows: of the source.
        taps: that modules read.
    """

    def __init__(self, backbone: Backbone, windows: Sequence[Window], taps: Sequence[int]) -> None:
        (self.share,) = shares_of(backbone, (windows,), taps)
        self.windows = windows
        self.owners = torch.tensor([window.document for window in windows])
        self.raw = self.score(backbone, None)

    def score(self, backbone: Backbone, system: Corrector | None) -> Likelihood:
        """The likelihood of a system, by document."""
        numbers = range(len(self.owners))
        blocks = ((self.share.own.rows([n]), self.owners[n : n + 1]) for n in numbers)
        return score_rows(backbone, blocks, {"it": system})["it"]


class Bench:
    """One backbone, and the rows of hidden states that were read with it so far.

    Args:
        name: of the backbone.
        sources: the corpora.
        places: where the windows are that rows are judged on.
    """

    def __init__(self, name: str, sources: Sources, places: Sequence[str]) -> None:
        self.name, self.sources, self.places, self.work = name, sources, places, Workspace()
        self.backbone = self.work.backbone(name)
        self._read: dict[tuple[str, int, int, int | None], Share] = {}
        self._judged: dict[str, dict[str, Judged]] = {}

    def run(self, row: Row, seed: int) -> dict[str, Any]:
        """Trains one module and judges it on every source."""
        config = replace(BASE, seed=seed, **row.changed)
        began = time.monotonic()
        with self.backbone.frozen():
            train, held = self._shares(row.text, config)
            if row.stop:
                _, held = self._shares("packages", replace(config, window_choice=row.stop))
            trained = train_module(self.backbone, train, held, config)
            system = self._then(row, trained.correction)
        seconds = time.monotonic() - began
        gains = {
            place: {name: self._gain(text, system) for name, text in self.judged(place).items()}
            for place in self.places
        }
        return {
            "text": row.text, "recipe": asdict(config), "steps": trained.course.step,
            "best_step": trained.course.best_step, "seconds": seconds, "gains": gains,
        }  # fmt: skip

    def judged(self, place: str) -> dict[str, Judged]:
        """What is judged on: any place of documents, or beginnings first, as the verbs do."""
        if place not in self._judged:
            self._judged[place] = {
                name: Judged(
                    self.backbone, self._windows(documents, TOKENS, PLACES[place]), self._taps
                )
                for name, documents in self.sources.judged.items()
            }
        return self._judged[place]

    def _gain(self, text: Judged, system: Corrector | None) -> dict[str, Any]:
        """What a system gains on a source, in nats per token."""
        own = text.score(self.backbone, system)
        return {
            "raw": text.raw.perplexity, "native": own.perplexity, "documents": len(own.tokens),
            **in_nats(difference(text.raw, own)),
        }  # fmt: skip

    def _windows(
        self, documents: Sequence[Document], tokens: int, seed: int | None
    ) -> Sequence[Window]:
        return windows_of(self.backbone, documents, BASE.window, tokens, seed=seed)

    def _shares(self, text: str, config: TrainConfig) -> tuple[Share, Share]:
        """Rows of the training side and of the calibration side of a text."""
        splits, seed = self.sources.splits[text], config.window_seed
        sides = ((splits.train, config.train_tokens), (splits.calibration, HELD_TOKENS))
        keys = [(text, number, tokens, seed) for number, (_, tokens) in enumerate(sides)]
        for key, (documents, tokens) in zip(keys, sides, strict=True):
            if key not in self._read:
                windows = self._windows(documents, tokens, seed)
                (self._read[key],) = shares_of(self.backbone, (windows,), self._taps)
        train, held = (self._read[key] for key in keys)
        return train, held

    @property
    def _taps(self) -> tuple[int, ...]:
        return self.backbone.check_taps(BASE.taps)

    def _then(self, row: Row, correction: Correction) -> Corrector:
        """The module behind what is fitted to it afterwards."""
        if row.gain:
            _, held = self._shares("packages", replace(BASE, window_choice=row.gain))
            out = correction.interface.proj_out
            learned = [(p, p.detach().clone()) for p in out.parameters()]

            def loss_at(gain: float) -> float:
                for parameter, value in learned:
                    parameter.data.copy_(gain * value)
                return mean_loss(self.backbone, held.own, correction)

            loss_at(min(GAINS, key=loss_at))
        if not row.gate:
            return correction
        config = GateConfig()
        domain, other = (
            GateText(
                self._windows(splits.train, config.tokens, None),
                self._windows(splits.calibration, config.calibration_tokens, None),
            )
            for splits in (self.sources.splits[row.text], self.sources.prose)
        )
        return Gated(correction, fit_gate(self.backbone, correction, domain, other, config).gate)


def move(name: str, bench: Bench) -> dict[str, Any]:
    """The module of a row, trained in ref-gpt2, in ref-llama: on every source, with its controls.

    The windows that rows are judged on, those of any place, are documents here. Pairs are from the
    text that was trained on, without its next tokens.
    """
    (donor, target), sources, row = MOVE, bench.sources, ROWS[name]
    also = {}
    for source, judged in bench.judged("anywhere").items():
        also[source] = (
            sources.folder / f"windows-{source.replace('/', '.').replace(' ', '-')}.jsonl"
        )
        texts = texts_of(judged.windows, sources.judged[source])
        _write(also[source], ((source, one.text) for one in texts))
    work = Workspace(library=Registry.open(sources.folder / "registry"))
    called = name.replace(", ", "-")
    for backbone in MOVE:
        config = replace(BASE, **row.changed)
        job = TrainJob(backbone, "python", sources.texts[row.text], called, config, TOKENS)
        run_train_job(work, job, replace=True)
    whole = work.move(f"{called}@{donor}", target, pair_on=sources.texts[row.text])
    report = whole.transfer(
        native=called, eval_tokens=TOKENS, also_eval={n: str(p) for n, p in also.items()},
        replace=True,
    )  # fmt: skip
    for judged in moved_sources(report).values():
        del judged["source"]  # a path of this machine
    return {key: report[key] for key in MOVED}


def mean_gain(gains: dict[str, Any]) -> float:
    """Of the named packages, none of which is trained on."""
    return sum(gains[name]["nats"] for name in HELD_OUT) / len(HELD_OUT)


def worse_than_raw(gains: dict[str, Any]) -> list[str]:
    """The named packages on which a module is worse than the backbone, beyond its interval."""
    return [name for name in HELD_OUT if gains[name]["interval"][1] < 0]


def shown(row: dict[str, Any], place: str) -> list[str]:
    """In source, packages that the split held out, the named ones: mean, share, worst, how many."""
    gains = row["gains"][place]
    worst = min(HELD_OUT, key=lambda name: gains[name]["nats"])
    return [
        f"{gains[HOME]['nats']:+.3f}", f"{gains[SPLIT]['nats']:+.3f}", f"{mean_gain(gains):+.3f}",
        f"{mean_gain(gains) / gains[HOME]['nats']:.0%}", f"{gains[worst]['nats']:+.3f} ({worst})",
        f"{len(worse_than_raw(gains))} of {len(HELD_OUT)}",
    ]  # fmt: skip


def show(found: dict[str, Any]) -> int:
    """Prints the tables; 1 where the goal is missed."""
    for place in PLACES:
        print(f"\nwindows of {place}: nats per token gained")
        print(
            "| run |", " | ".join((HOME, SPLIT, "named packages", "share", "worst", "worse")), "|"
        )
        for key, row in found["rows"].items():
            if place in row["gains"]:
                print("|", key, "|", " | ".join(shown(row, place)), "|")
    for name, report in found["moves"].items():
        print(f"\n{name}: {report['donor']} -> {report['target']}: nats per token gained")
        for source, judged in moved_sources(report).items():
            gains = ", ".join(f"{n} {g['nats']:+.3f}" for n, g in judged["gain"].items())
            print(f"| {source} | {gains} | {share_text(judged['recovered']['candidate'])} |")
    missed = [line for key, row in found["rows"].items() for line in faults(key, row)]
    print(*missed, sep="\n")
    return 1 if missed else 0


def moved_sources(report: dict[str, Any]) -> dict[str, Any]:
    """What a move is worth on each source."""
    return report["sources"]["out_of_source"]


def faults(key: str, row: dict[str, Any]) -> list[str]:
    """Which goals a run of the row GOAL misses."""
    if key.split("/")[1] != GOAL:
        return []
    gains = row["gains"].get("anywhere")
    if gains is None:
        return []
    found = [f"MISSED {key}: worse than raw on {name}" for name in worse_than_raw(gains)]
    share = mean_gain(gains) / gains[HOME]["nats"]
    return [*found, *([f"MISSED {key}: share {share:.2f}, not {SHARE}"] if share < SHARE else [])]


if __name__ == "__main__":
    sys.exit(main())
