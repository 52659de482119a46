"""The report of a comparison: seeds and methods that fail, the best peer, paired differences."""

from __future__ import annotations

import pytest

from tests.basis.tiny_basis import ragged_windows
from tests.tiny import tiny_backbone
from transplant.basis.config import AdaptConfig
from transplant.files.cells import Cells
from transplant.tables.basis_compare import compare_table
from transplant.tables.words import plain
from transplant.workflows.basis.compare import cell as cell_module
from transplant.workflows.basis.compare.cell import Texts
from transplant.workflows.basis.compare.job import CompareJob, _cells_of
from transplant.workflows.basis.compare.method import Once
from transplant.workflows.basis.compare.summary import summary, verdict
from transplant.workflows.basis.compare.table import METHODS, Row
from transplant.workflows.work import Work

CONFIG = AdaptConfig(steps=6, batch=4, learning_rate=5e-3, evaluate_every=3)


def test_a_seed_that_fails_at_the_chosen_rate_is_kept_for_the_report(tmp_path, monkeypatch):
    job = CompareJob(backbone="x", domain="tales", out=tmp_path, seeds=3, config=CONFIG)
    texts = Texts([], [], [], {})

    def made(*given):
        config = given[-2]
        facts = {"rate": config.learning_rate, "seed": config.seed}
        if config.seed == 1:
            return {**facts, "unavailable": "the gradient is not finite"}
        return {**facts, "calibration": abs(config.learning_rate - 2e-3)}

    monkeypatch.setattr(cell_module, "run_cell", made)
    cells = Cells(tmp_path / "cells", {"run": 1})
    row = Row(METHODS["lora"].prepare)
    _, found = _cells_of(Work(), job, None, "lora", row, texts, cells, Once())
    assert [(one["seed"], "unavailable" in one) for one in found] == [
        (0, False), (1, True), (2, False),
    ]  # fmt: skip


def test_what_was_computed_once_counts_as_memory_of_every_cell_that_uses_it(
    tiny_tokenizer, monkeypatch
):
    held = {"peak": 100}
    monkeypatch.setattr(cell_module, "reset_peak", lambda _device: held.update(peak=100))
    monkeypatch.setattr(cell_module, "peak_bytes", lambda _device: held["peak"])
    backbone = tiny_backbone("llama", tiny_tokenizer)
    windows = ragged_windows(len(tiny_tokenizer), 6)
    texts = Texts(windows, windows, windows, {"domain": windows})
    once = Once(lambda: held["peak"])
    config = AdaptConfig(steps=1, evaluate_every=1)

    def run(prepare):
        row = Row(lambda scene: prepare(scene) or METHODS["full"].prepare(scene))
        found = cell_module.run_cell(Work(), backbone, "q_proj", "m", row, texts, 1, config, once)
        return found["peak_bytes"]

    def fits(scene):
        scene.once("basis", lambda: held.update(peak=900))

    assert [run(fits), run(fits), run(lambda _scene: None)] == [900, 900, 100]


def cell(domain: float, other: float, calibration: float, rate: float = 1e-3) -> dict[str, object]:
    documents = [1.0, 1.1, 0.9, 1.05]
    scores = {
        name: {"nats": [100 * loss * d for d in documents], "tokens": [100.0] * 4}
        for name, loss in (("domain", domain), ("other", other))
    }
    return {
        "scores": scores, "calibration": calibration, "rate": rate, "seed": 0,
        "trainable": 10, "prepare_seconds": 1.0, "train_seconds": 2.0, "peak_bytes": None,
    }  # fmt: skip


def test_the_best_peer_is_chosen_on_calibration_and_equal_losses_are_a_tie():
    raw = cell(3.0, 2.0, 3.0)
    ours, close, far = cell(2.0, 2.1, 2.0), cell(2.0, 2.4, 2.0), cell(1.9, 2.4, 2.2)
    found = {"basis": [ours], "lora": [close], "eva": [far], "corda-kpm": []}
    searched = {**found, "corda-kpm": [{"unavailable": "no attrs"}]}
    report = summary(raw, searched, found, dict.fromkeys(found, False))
    assert report["best_peer"] == "lora"  # eva's better held-out loss does not choose it
    assert report["verdict"] == "tie"
    rows = {row["method"]: row for row in report["rows"]}
    assert rows["lora"]["forgetting"] == pytest.approx(0.4 * 4.05 / 4)
    assert rows["corda-kpm"]["unavailable"] == "no attrs"
    assert (verdict([0.1, 0.2]), verdict([-0.2, -0.1]), verdict([-0.1, 0.1])) == (
        "worse", "better", "tie",
    )  # fmt: skip


def test_methods_are_compared_on_the_seeds_that_both_have():
    """A seed that left the finite numbers is in one of them alone."""
    ours, theirs = (
        [{**cell(loss, 2.0, 2.0), "seed": seed} for seed, loss in losses.items()]
        for losses in ({0: 2.0, 2: 3.0}, {0: 2.1, 1: 2.5, 2: 3.1})
    )
    failed = {"seed": 1, "rate": 1e-3, "unavailable": "the gradient is not finite at step 4"}
    ours[1]["peak_bytes"] = 1_234_000_000
    found = {"basis": [ours[0], failed, ours[1]], "lora": theirs}
    report = summary(cell(3.0, 2.0, 3.0), found, found, dict.fromkeys(found, False))
    (row,) = [row for row in report["rows"] if row["method"] == "lora"]
    (own,) = [row for row in report["rows"] if row["method"] == "basis"]
    assert (own["seeds"], own["failed_seeds"]) == ([0, 2], {"1": failed["unavailable"]})
    assert row["seeds"] == [0, 1, 2]
    assert "failed_seeds" not in row  # the control
    shown = {"backbone": "b", "domain": "d", "budget": 1, "like": "lora:r=8", **report}
    table = compare_table(shown)
    assert [row[-1] for row in table.rows] == ["", "1.2 GB", ""]  # raw, and one that nobody counted
    (told,) = [note for note in map(plain, table.notes) if "seed" in note]
    assert told.startswith("basis, seed 1: the gradient is not finite")
    same = {"basis": ours, "lora": [theirs[0], theirs[2]]}
    expected = summary(cell(3.0, 2.0, 3.0), same, same, dict.fromkeys(found, False))
    (wanted,) = [row for row in expected["rows"] if row["method"] == "lora"]
    assert row["basis_minus_it"] == wanted["basis_minus_it"]
    assert row["basis_minus_it"]["mean"] < 0


def budget_notes(shown):
    """The lines below the table that tell of the budget."""
    return [note for note in map(plain, compare_table(shown).notes) if "budget" in note]


def test_the_table_names_each_method_that_does_not_train_the_budget():
    trained = {"basis": 998, "lora": 1000, "eva": 854, "adalora": 1501}
    found = {name: [{**cell(2.0, 2.0, 2.0), "trainable": many}] for name, many in trained.items()}
    report = summary(cell(3.0, 2.0, 3.0), found, found, dict.fromkeys(found, False))
    shown = {"backbone": "b", "domain": "d", "budget": 1000, "like": "lora:r=8", **report}
    (told,) = budget_notes(shown)
    assert told.endswith("eva 85%, adalora 150%; all others 100%")
    report["rows"] = [row for row in report["rows"] if row["method"] in ("basis", "lora")]
    assert not budget_notes({**shown, **report})  # the control
