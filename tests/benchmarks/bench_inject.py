"""A feed-forward part of one reference backbone inside another, beside its controls.

    python tests/benchmarks/bench_inject.py [--pairs ref-llama:ref-gpt2,...] [--out FILE]

For each pair: bridges in closed form from paired `prose`, then trained to add what the target's own
part adds, and judged on held-out excerpts; then bridges and gate on the next token of `prose`, and
the held-out perplexity on `prose` and on `python`. The controls have the same bridges to train: a
random part of the same shape, and no part at all. Exits 1 where a goal is missed: the donor's
held-out error is at most half that of the mean, and what is trained is not worse than the target,
to its interval.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from registry.store import Registry
from transplant.backbones.load import load_backbone
from transplant.backbones.parts import block_width
from transplant.evaluation.intervals import paired_bootstrap
from transplant.evaluation.likelihood import score_documents
from transplant.loading.hosted import versions
from transplant.surgery.bank.extract import extract
from transplant.surgery.inject.config import BridgeTrainConfig, InjectConfig
from transplant.surgery.inject.controls import random_like
from transplant.surgery.inject.fit import fit_inward, fit_outward, judge
from transplant.surgery.inject.graft import Bare, Graft
from transplant.surgery.inject.hosted import InjectedModel, Injection
from transplant.surgery.inject.streams import read_stream, read_streams
from transplant.surgery.inject.train import train_on_text, train_to_match
from transplant.text.documents import read_documents
from transplant.text.excerpts import cut_excerpts
from transplant.text.splits import split_documents
from transplant.text.spread import spread_windows
from transplant.text.windows import cut_windows

PAIRS = "ref-llama:ref-gpt2,ref-gpt2:ref-llama"
PARTS = {"ref-llama": "ffn.2", "ref-gpt2": "ffn.1"}  # of the donor
LAYERS = {"ref-llama": 2, "ref-gpt2": 1}  # of the target
CHARACTERS = 800_000


def backbone(name: str):
    """A shipped reference backbone."""
    return load_backbone(name, path=Registry.open().backbone_path(name))


def measure(pair: str, texts: dict, options: argparse.Namespace) -> list[dict]:
    """The donor's part and its controls in one target."""
    donor, target = map(backbone, pair.split(":"))
    part_name, layer = PARTS[donor.name], LAYERS[target.name]
    donor_place, place = f"block.{part_name[-1]}.mlp", f"block.{layer}.mlp"
    prose = texts["prose"]
    excerpts, held = (
        cut_excerpts(side)[::7][:count]
        for side, count in ((prose.train, options.excerpts), (prose.calibration, 20))
    )
    part = extract(donor, ("ffn",)).part(part_name)
    inward = fit_inward(donor, target, donor_place, place, excerpts, held, 1e-3)
    windows = cut_windows(excerpts, target.tokenizer, target.context)
    held_windows = cut_windows(held, target.tokenizer, target.context)
    judged_on = cut_windows(cut_excerpts(prose.eval)[::7][:20], target.tokenizer, target.context)
    length = options.window
    train, calibration = (
        spread_windows(side, target.tokenizer, length, tokens)
        for side, tokens in ((prose.train, 40_000), (prose.calibration, 2_000))
    )
    evaluated = {
        name: spread_windows(text.eval, target.tokenizer, length, options.eval_tokens)
        for name, text in texts.items()
    }
    raw = {name: score_documents(target, w, {"it": None})["it"] for name, w in evaluated.items()}
    rows = []
    parts = {"donor": part, "random part": random_like(part, 0), "bridges alone": Bare(part.width)}
    for system, piece in parts.items():
        began = time.monotonic()
        torch.manual_seed(0)
        graft = Graft(piece, block_width(target), InjectConfig(gate="scalar"))
        graft.bridges.set_inward(inward.bridge)
        graft.bridges.set_outward(fit_outward(graft, target, windows, place, 1e-3))
        recipe = BridgeTrainConfig(
            steps=options.match_steps, lm_steps=options.steps, lm_batch=4, evaluate_every=20
        )
        train_to_match(
            graft, lambda numbers: read_stream(target, [windows[n] for n in numbers], place),
            len(windows), [*read_streams(target, held_windows, place)], recipe,
        )  # fmt: skip
        fitted = judge(graft, target, judged_on, place)
        model = InjectedModel("probe", target, [Injection(layer, "ffn", graft)])
        with target.frozen():
            course = train_on_text(model, train, calibration, recipe)
        row = {
            "donor": donor.name, "part": part_name, "target": target.name, "layer": layer,
            "system": system, "inward_r2": inward.r2, "pairs": inward.pairs,
            "mse_of_mean": fitted.baseline, "mse": fitted.mse, "r2": fitted.r2,
            "gate": graft.gate.value.item(), "best_step": course.best_step,
            "trained_parameters": sum(t.numel() for t in graft.own_tensors().values()),
            "ppl": {}, "raw_ppl": {}, "change_in_nats": {},
        }  # fmt: skip
        for name, chosen in evaluated.items():
            with model.inside():
                found = score_documents(target, chosen, {"it": None})["it"]
            change = paired_bootstrap(found.nats.numpy(), raw[name].nats.numpy(),
                                      raw[name].tokens.numpy())  # fmt: skip
            row["ppl"][name], row["raw_ppl"][name] = found.perplexity, raw[name].perplexity
            row["change_in_nats"][name] = [change.low, change.mean, change.high]
        row["seconds"] = time.monotonic() - began
        rows.append(row)
        print(line(row), flush=True)
    return rows


def line(row: dict) -> str:
    """One row for people."""
    ppl = "  ".join(f"{n} {row['raw_ppl'][n]:.2f} -> {p:.2f}" for n, p in row["ppl"].items())
    return (
        f"{row['donor']}:{row['part']} -> {row['target']}.{row['layer']} {row['system']:14}"
        f" R2 {row['r2']:.3f}  gate {row['gate']:+.3f}  {ppl}"
    )


def write(options: argparse.Namespace, texts: dict, rows: list[dict]) -> None:
    """What is measured so far, with every option and the fingerprints of the text."""
    report = {
        "options": {**vars(options), "out": str(options.out)},
        "versions": versions(),
        "split": {name: text.fingerprint for name, text in texts.items()},
        "rows": rows,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def main() -> int:
    """Measures, prints, and compares with the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", default=PAIRS)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--match-steps", type=int, default=100)
    parser.add_argument("--excerpts", type=int, default=80)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--eval-tokens", type=int, default=5_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    texts = {
        name: split_documents(read_documents(name, max_chars=CHARACTERS))
        for name in ("prose", "python")
    }
    rows: list[dict] = []
    for pair in options.pairs.split(","):
        rows += measure(pair, texts, options)
        if options.out:
            write(options, texts, rows)
    missed = 0
    for row in rows:
        if row["system"] != "donor":
            continue
        if row["mse"] > 0.5 * row["mse_of_mean"]:
            missed += 1
            print(f"missed: {row['donor']} -> {row['target']}, R2 {row['r2']:.3f} is below 0.5")
        if row["change_in_nats"]["prose"][0] > 0:
            missed += 1
            print(f"missed: {row['donor']} -> {row['target']} is worse than the target on prose")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
