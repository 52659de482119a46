"""A reference backbone with the vocabulary of another: each method, beside mergekit's tokensurgeon.

    python tests/benchmarks/bench_embed_init.py [--mergekit PYTHON] [--pairs A:B,...] [--out FILE]

`A:B` gives B the tokens of A, as `abi embed-init --from A --to B` does, and nothing is trained. The
same held-out excerpts are read by all: perplexity per token compares within one vocabulary only,
nats per character across. `raw` is B with its own tokens, `best` the default: the method that costs
least on calibration text. Exits 1 where a goal is missed: `best` and `omp` are better than mean
initialisation, and `omp` no worse than tokensurgeon's with as many atoms, each to its 95 % interval
over excerpts.

mergekit stays outside of this project: it works on saved folders, under an interpreter of its own.

    python3.11 -m venv /tmp/mergekit && echo 'torch==2.13.0' > /tmp/torch.txt
    /tmp/mergekit/bin/pip install -c /tmp/torch.txt mergekit==0.1.5
    python tests/benchmarks/bench_embed_init.py --mergekit /tmp/mergekit/bin/python

(Where PyPI's torch would be gigabytes, as in the Makefile: `--extra-index-url
https://download.pytorch.org/whl/cpu`.) Without `--mergekit`, this interpreter is used if it has it.
In 0.1.5 `omp` with k = 64 is the default; `common_interpolation` was in earlier versions.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.store import Registry
from transplant.backbones.load import load_backbone
from transplant.backbones.view import Backbone
from transplant.evaluation.evidence import difference, in_nats
from transplant.evaluation.likelihood import Likelihood, score_documents
from transplant.loading.hosted import versions
from transplant.surgery.embeddings.choose import Chosen, choose_vocabulary
from transplant.surgery.embeddings.config import ATOMS, METHODS, EmbedConfig
from transplant.surgery.embeddings.vocabulary import spelled_in, with_vocabulary
from transplant.text.documents import Document, read_documents
from transplant.text.excerpts import cut_excerpts
from transplant.text.splits import split_documents
from transplant.text.windows import cut_windows, predicted_characters

PAIRS = "ref-llama:ref-gpt2,ref-gpt2:ref-llama,ref-t5:ref-gpt2"
SURGEON = {
    "tokensurgeon omp": ("-a", "omp"),
    "tokensurgeon common_interpolation": ("-a", "common_interpolation"),
    "tokensurgeon mean": ("-a", "mean"),
}
WINDOW = 512
CHARACTERS = 8_000_000


@dataclass(frozen=True)
class Texts:
    """What is chosen on, and what is reported on."""

    calibration: Sequence[Document]
    excerpts: Sequence[Document]


@dataclass(frozen=True)
class Score:
    """A system on the excerpts."""

    found: Likelihood
    characters: int

    def as_dict(self) -> dict[str, float]:
        """Perplexity per token and nats per character."""
        nats = float(self.found.nats.sum())
        return {
            "ppl": self.found.perplexity,
            "nats_per_character": nats / self.characters,
            "tokens": float(self.found.tokens.sum()),
            "characters": self.characters,
        }


def backbone(name: str) -> Backbone:
    """A shipped reference backbone."""
    return load_backbone(name, path=Registry.open().backbone_path(name))


def score(model: Backbone, excerpts: Sequence[Document]) -> Score:
    """Held-out loss; what is predicted begins behind the first token of an excerpt."""
    windows = cut_windows(excerpts, model.tokenizer, min(WINDOW, model.context))
    found = score_documents(model, windows, {"it": None})["it"]
    return Score(found, predicted_characters(windows))


class Surgeon:
    """mergekit-tokensurgeon, on folders, under another interpreter.

    Args:
        python: the interpreter that has mergekit.
        atoms: its k.
    """

    def __init__(self, python: str, atoms: int) -> None:
        self.python, self.atoms = python, atoms
        ask = "import importlib.metadata as m; print(*(m.version(p) for p in " + (
            "('mergekit', 'torch', 'transformers')))"
        )
        told = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
        self.versions = dict(
            zip(("mergekit", "torch", "transformers"), told.stdout.split(), strict=True)
        )

    def give(self, target: Path, donor: Path, out: Path, words: Sequence[str]) -> str | None:
        """Writes the target with the donor's tokens to a folder; says what went wrong, if so."""
        script = [self.python, "-m", "mergekit.scripts.tokensurgeon", *map(str, (target, donor))]
        command = [*script, str(out), *words, "-k", str(self.atoms), "--quiet"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        said = ran.stderr.strip().splitlines() or ["it said nothing"]
        return said[-1] if ran.returncode else None


def find_surgeon(python: str | None, atoms: int) -> Surgeon | None:
    """The rival, where it is installed."""
    if python is None and importlib.util.find_spec("mergekit") is None:
        return None
    return Surgeon(python or sys.executable, atoms)


def ours(
    donor: Backbone, target: Backbone, texts: Texts, atoms: int
) -> tuple[dict[str, Score], Chosen, dict[str, float]]:
    """Every method of `abi embed-init`, the choice, and how much of the vocabulary is shared."""
    spelled = spelled_in(target, donor)
    config = EmbedConfig(atoms=atoms)
    chosen = choose_vocabulary("best", target, donor, spelled, config, texts.calibration)
    scores = {"best": score(chosen.backbone, texts.excerpts)}
    for method in METHODS:
        own = config.by(method)
        made = with_vocabulary(method, target, donor, spelled, own)
        scores[method] = score(made, texts.excerpts)
    return scores, chosen, spelled.coverage()


def theirs(
    surgeon: Surgeon, donor: Backbone, target: Backbone, excerpts: Sequence[Document]
) -> tuple[dict[str, Score], dict[str, str]]:
    """Every way of tokensurgeon, and what it said where it failed."""
    scores: dict[str, Score] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        places = {side.name: Path(folder) / side.name for side in (donor, target)}
        for side in (donor, target):
            side.model.save_pretrained(places[side.name])
            side.tokenizer.save_pretrained(places[side.name])
        for number, (name, words) in enumerate(SURGEON.items()):
            out = Path(folder) / str(number)
            error = surgeon.give(places[target.name], places[donor.name], out, words)
            if error is not None:
                failed[name] = error
                continue
            scores[name] = score(load_backbone(name, path=out), excerpts)
    return scores, failed


def measure(pair: str, texts: Texts, surgeon: Surgeon | None, atoms: int) -> dict[str, Any]:
    """One target with the tokens of one donor, in every way there is."""
    began = time.monotonic()
    donor, target = map(backbone, pair.split(":"))
    raw = score(target, texts.excerpts)
    with target.frozen():
        scores, chosen, coverage = ours(donor, target, texts, atoms)
    failed: dict[str, str] = {}
    if surgeon is not None:
        rivals, failed = theirs(surgeon, donor, target, texts.excerpts)
        scores |= rivals
    return {
        "vocabulary": donor.name,
        "body": target.name,
        "coverage": coverage,
        "best": chosen.method,
        "calibration_nats_per_character": chosen.tried,
        "systems": {"raw": raw.as_dict(), **{n: s.as_dict() for n, s in scores.items()}},
        "omp_better_by_nats_per_token": better_by(scores, "omp"),
        "best_better_by_nats_per_token": better_by(scores, "best"),
        "failed": failed,
        "seconds": time.monotonic() - began,
    }


def better_by(scores: dict[str, Score], one: str) -> dict[str, dict[str, float]]:
    """By how much a system is better than each other that cuts the text as it does."""
    own = scores[one]
    return {
        name: in_nats(difference(other.found, own.found))
        for name, other in scores.items()
        if name != one and comparable(other, own)
    }


def comparable(one: Score, other: Score) -> bool:
    """Whether two systems cut the excerpts into as many tokens, each of them."""
    return one.found.tokens.tolist() == other.found.tokens.tolist()


def show(row: dict[str, Any]) -> None:
    """One pair for people."""
    print(f"\n{row['body']} with the tokens of {row['vocabulary']}  ({row['seconds']:.0f} s)")
    print(f"{'':36}{'perplexity':>12}{'nats/char':>11}   omp better by, nats per token")
    for name, found in row["systems"].items():
        by = row["omp_better_by_nats_per_token"].get(name)
        gain = ""
        if by:
            low, high = by["interval"]
            gain = f"   {by['nats']:+.4f} ({low:+.4f} to {high:+.4f})"
        print(f"{name:36}{found['ppl']:12.2f}{found['nats_per_character']:11.4f}{gain}")
    tried = row["calibration_nats_per_character"]
    print(f"best: {row['best']}, on calibration text", *(f"{n} {v:.4f}" for n, v in tried.items()))
    for name, error in row["failed"].items():
        print(f"{name:36} failed: {error}")
    sys.stdout.flush()


def missed(row: dict[str, Any]) -> list[str]:
    """The goals that a pair misses."""
    by, where = row["omp_better_by_nats_per_token"], f"{row['vocabulary']} -> {row['body']}"
    chosen = row["best_better_by_nats_per_token"]
    found = [
        f"{where}: {name} is not better than mean initialisation"
        for name, own in (("best", chosen), ("omp", by))
        if own["mean"]["interval"][0] <= 0
    ]
    rival = by.get("tokensurgeon omp")
    if rival is not None and rival["interval"][1] < 0:
        found.append(f"{where}: tokensurgeon's omp is better by {-rival['nats']:.4f} nats")
    return found


def main() -> int:
    """Measures, prints, and compares with the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", default=PAIRS)
    parser.add_argument("--data", default="prose")
    parser.add_argument("--excerpts", type=int, default=120)
    parser.add_argument("--atoms", type=int, default=ATOMS)
    parser.add_argument("--mergekit", help="an interpreter that has mergekit")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    splits = split_documents(read_documents(options.data, max_chars=CHARACTERS))
    found = cut_excerpts(splits.eval)
    excerpts = found[:: max(1, len(found) // options.excerpts)][: options.excerpts]
    texts = Texts(splits.calibration, excerpts)
    surgeon = find_surgeon(options.mergekit, options.atoms)
    if surgeon is None:
        print("mergekit is not installed here: tokensurgeon is left out (--mergekit PYTHON)")
    report: dict[str, Any] = {
        "options": {n: getattr(options, n) for n in ("pairs", "data", "excerpts", "atoms")},
        "versions": versions(),
        "mergekit": surgeon and surgeon.versions,
        "split": splits.fingerprint,
        "pairs": [],
    }
    goals: list[str] = []
    for pair in options.pairs.split(","):
        row = measure(pair, texts, surgeon, options.atoms)
        show(row)
        goals += missed(row)
        report["pairs"].append(row)
        report["missed"] = goals
        if options.out:
            options.out.write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join(f"missed: {goal}" for goal in goals) or "every goal is met")
    return 1 if goals else 0


if __name__ == "__main__":
    sys.exit(main())
