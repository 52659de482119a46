"""Rows of the published tables, made again from the data beside them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples/results"
NAMES = {"gemma": "Gemma 3 270M", "smollm2": "SmolLM2-135M"}
MOVED = {"gemma": "Gemma", "smollm2": "SmolLM2"}
CONTROLS = ("random_module", "shuffled_pairs", "linear_surrogate", "random_refitted")


def data(name: str) -> Any:
    """What a file of results holds."""
    return json.loads((FOLDER / name).read_text("utf-8"))


def page(name: str) -> str:
    """A page of results."""
    return (FOLDER / name).read_text("utf-8")


def plain(value: float) -> str:
    """Three places; nothing has no sign."""
    return f"{0.0 if abs(value) < 5e-4 else value:.3f}"


def interval(bounds: list[float]) -> str:
    """Both ends, as pages write them."""
    return " to ".join(map(plain, bounds))


def default_moves() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Cell and report of each move by the defaults."""
    return [
        (move["cell"], move["report"])
        for move in data("real.json")["moves"]
        if move["cell"]["pair"] == "domain" and move["cell"].get("inside") == "continued"
        and "recovered" in move.get("report", {})
    ]  # fmt: skip


def test_moves_between_real_models_stand_on_their_page_with_their_controls():
    moves, text = default_moves(), page("real-models.md")
    assert len(moves) > 10
    for cell, report in moves:
        bounds, shares = report["interval"], report["recovered"]
        own = f"**{plain(shares['candidate'])}**<br>{interval(bounds['recovered']['candidate'])}"
        attributable = [
            f"{plain(report[name])}<br>{interval(bounds[name])}"
            for name in ("donor_attributable", "module_attributable")
        ]
        row = " | ".join([own, *attributable, *(plain(shares[name]) for name in CONTROLS)])
        starts = (
            f"| {MOVED[cell['target']]}, seed {cell['seed']} | ",
            f"| {MOVED[cell['target']]} | ",
        )
        assert any(start + row + " |" in text for start in starts), (cell, row)


def test_the_first_table_of_the_readme_has_the_seeds_of_each_move():
    text = (ROOT / "README.md").read_text("utf-8")
    table = text.partition("| move | pairs from")[2].partition("\n\n")[0].splitlines()
    for cell, report in default_moves():
        if cell["d_abi"] != 128:
            continue
        donor, target = (NAMES[cell[side]] for side in ("donor", "target"))
        domain = cell["domain"] if cell["domain"] == "chess" else cell["domain"].title()
        (row,) = [
            line
            for line in table
            if line.startswith(f"| {donor} → {target} | {domain}, unlabelled")
        ]
        cells = [part.strip().replace("*", "") for part in row.split("|")]
        wanted = (
            report["recovered"]["candidate"], report["donor_attributable"],
            report["module_attributable"],
        )  # fmt: skip
        for value, stands in zip(wanted, (cells[3], cells[5], cells[6]), strict=True):
            assert stands.split(", ")[cell["seed"]] == plain(value), (cell, row)
        if cell["seed"] == 0:
            assert cells[4] == interval(report["interval"]["recovered"]["candidate"]), row


@pytest.mark.parametrize("stability", ["0", "0.3", "1"])
@pytest.mark.parametrize("backbone", ["ref-gpt2", "ref-llama", "ref-t5"])
def test_updates_stand_on_their_page_with_every_seed_and_control(backbone, stability):
    found = data("invariance.json")
    rows = [found[f"{backbone}, stability {stability}, seed {seed}"] for seed in range(3)]

    def percent(value: float) -> str:
        return f"{100 * value:.1f}"

    def seeds(values: list[float]) -> str:
        return f"**{percent(mean(values))} %**: {' '.join(map(percent, values))}"

    controls = [
        f"{percent(mean(row['controls'][name]['efficacy'] for row in rows))} %"
        for name in ("random_module", "random_repaired", "native_same_tokens")
    ]
    kept = seeds([row["efficacy"] for row in rows])
    repaired = seeds([row["repaired"]["efficacy"] for row in rows])
    text, start = page("updates.md"), f"| {backbone} | {stability} |"
    assert f"{start} {' | '.join([kept, repaired, *controls])} |" in text
    gained = mean(
        math.log(row["update_ppl"]["before"] / row["update_ppl"]["after"]) for row in rows
    )
    assert f"{start} {gained:.4f} | {mean(row['repair_speedup'] for row in rows):.1f} |" in text
