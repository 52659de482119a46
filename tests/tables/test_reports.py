"""Tables of reports: what was measured stands in them, and what was not is no number."""

from __future__ import annotations

import json
import math

import pytest
import torch

from registry.store import REFERENCE
from transplant.evaluation.gated import kept_share
from transplant.evaluation.likelihood import Likelihood
from transplant.evidence.report.wording import within
from transplant.files.former_keys import with_present_keys
from transplant.pictures import bars as pictured
from transplant.pictures.bars import draw_bars
from transplant.pictures.document.blocks import Bar, Bars
from transplant.studio.evidence import bounds_of, evidence_of
from transplant.tables.ablation import ablation_table, shapes_table
from transplant.tables.artifacts import artifact_sheet, evidence_table
from transplant.tables.calibration import calibrated_table
from transplant.tables.curve import crossing_text
from transplant.tables.invariance import succession_sheet
from transplant.tables.recomputed import number_texts
from transplant.tables.shares import bounds_in, bounds_text, kept_text
from transplant.tables.transfer import transfer_table

WHY = "no ceiling: the native gains nothing"


def shown(table) -> str:
    """A table as text, on one line."""
    return " ".join(str(table).split())


def test_every_shipped_move_has_the_same_numbers_in_text_markdown_and_html():
    moves = with_present_keys(json.loads((REFERENCE / "headline.json").read_text()))["moves"]
    assert moves
    for move in moves:
        table = transfer_table(move)
        forms = (str(table), table.to_markdown(), table._repr_html_())
        for system, ppl in move["ppl"].items():
            for form in forms:
                assert system in form
                assert f"{ppl:.2f}" in form
        changed = {**move, "module_sha256": {"donor": "a", "target": "b"}}  # control
        assert "CHANGED" in str(transfer_table(changed))
        assert "CHANGED" not in forms[0]


def test_an_ablation_says_of_how_many_seeds_a_nib_passed():
    mean = {
        "objective": "kd", "from": "new", "module": "donor", "seeds": [3, 4], "recovered": 0.5,
        "interval": [0.4, 0.6], "ppl": 2.0, "seconds": 1.0,
        "nib": {"top5": 0.7, "top1": 0.6, "js": 0.1, "entropy": 0.1, "passed": 1},
    }  # fmt: skip
    report = {"donor": "m@a", "target": "b", "ablation": "objectives", "means": [mean]}
    assert "1/2" in shown(ablation_table(report))


def test_what_comes_after_a_calibration_is_a_call_that_python_can_read():
    report = {"name": "m@b", "target": "b", "objective": "kd", "needs": ["x"], "seconds": {"a": 1}}
    assert "`nib(anchor='NATIVE@b', candidate='m@b')`" in str(calibrated_table(report))


def test_a_count_of_a_calibration_is_shown_whole():
    counted = {"shared_tokens": 3997, "token_coverage": 0.94312}
    report = {"name": "m@b", "target": "b", "objective": "kd", "needs": ["x"], "seconds": {"a": 1}}
    table = str(calibrated_table(report | counted | {"bridge": "fitted now"}))
    assert all(said in table for said in ("3,997", "0.943", "fitted now"))


def test_losses_of_an_artifact_are_a_line_and_its_systems_stand_as_in_a_move():
    run = {"steps": [1, 2, 250], "loss": [9.5, 8.25, 7.125], "held": [[250, 7.5]], "nats": True}
    ppl = {"candidate": 2.5, "native": 2.0, "other_domain_x": 3.5, "raw": 3.0}  # as files sort them
    report = {
        "kind": "module", "hosted": "m@b", "tensors": [], "results": {"ppl": ppl},
        "made": {"seed": 7, "losses": {"training m@b": run, "none": {}}},
    }  # fmt: skip
    said = shown(artifact_sheet(report))
    assert "9.500 at step 1, 7.125 at step 250, 7.500 on the calibration split" in said
    assert "8.25" not in said
    places = [said.index(f" {name} ") for name in ("raw", "native", "candidate", "other_domain_x")]
    assert places == sorted(places)
    assert "losses" not in shown(artifact_sheet({**report, "made": {"seed": 7}}))


def test_evidence_of_an_earlier_version_has_its_intervals():
    shares = {"ppl": {"raw": 3.0, "candidate": 2.0}, "recovered": {"candidate": 0.5}}
    bounds = {"recovered": {"candidate": [0.25, 0.75]}}
    for key in ("intervals", "interval"):
        table = evidence_table("m@b", {**shares, key: bounds})
        assert "0.250 .. 0.750" in shown(table)
    assert "0.250" not in shown(evidence_table("m@b", shares))  # control


@pytest.mark.parametrize("none", [None, math.inf])
def test_an_interval_without_a_bound_says_so_wherever_it_is_shown(none):
    """As a result has it in memory and as its JSON has it, null."""
    assert bounds_text([0.25, none]) == "0.250 .. unbounded"
    assert bounds_text([None if none is None else -none, none]) == "unbounded .. unbounded"
    assert bounds_text([0.25, 0.75]) == "0.250 .. 0.750"  # control
    assert within(0.5, [0.25, none]) == "0.500 (95 %: 0.250 .. unbounded)"
    assert within(0.5, None) == "0.500 (no interval is on record)"
    results = {
        "recovered": {"candidate": 0.5},
        "interval": {"recovered": {"candidate": [None, 0.75]}},
    }
    assert "unbounded .. 0.750" in shown(evidence_table("m@b", results))
    (system,) = evidence_of(results)
    assert system.interval == (-math.inf, 0.75)
    assert system.bounds == "unbounded to 0.750"
    assert bounds_of([system]) == (-3.0, 1.0)
    ends = bounds_in([0.25, none]) or ()
    bars = Bars([Bar("moved", 0.5, *ends)], "recovered")
    assert bars.reach == (0.0, 0.5)
    assert bars.bounds(bars.bars[0]) == "0.250 .. unbounded"
    assert bars.place(ends[1]) == 100
    for value in (None, [0.5], [0.5, "x"], [True, 1.0], "ab"):
        assert bounds_in(value) is None


def test_a_whisker_without_an_end_is_an_arrow_at_the_value():
    pytest.importorskip("matplotlib")
    drawn = draw_bars(
        [pictured.Bar("a", 0.5, [0.25, math.inf]), pictured.Bar("b", 0.5, [None, 0.75])],
        title="t", axis="a",
    )  # fmt: skip
    lines = drawn.axes[0].lines
    assert [line.get_marker() for line in lines if line.get_marker() != "None"] == [">", "<"]
    assert all(math.isfinite(x) for line in lines for x in line.get_xdata())
    sure = draw_bars([pictured.Bar("a", 0.5, [0.25, 0.75])], title="t", axis="a")  # control
    assert all(line.get_marker() == "None" for line in sure.axes[0].lines)


def test_what_cannot_be_evidence_is_left_out():
    assert evidence_table("x", {}) is None
    assert evidence_table("x", {"ppl": 7, "recovered": ["a"]}) is None
    odd = {"ppl": {"raw": 2.0, "native": "x"}, "intervals": 3, "nib": [1], "recovered": {"raw": {}}}
    shown = evidence_table("x", odd)
    assert shown is not None
    assert len(shown.rows) == 1


def test_a_crossing_is_told_to_two_figures():
    told = crossing_text({"crossing_tokens": 175_163.7, "budgets": [0, 256_000]})
    assert told == "the native catches up at about 180,000 tokens"
    told = crossing_text({"crossing_tokens": None, "budgets": [0, 256_000]})
    assert told == "up to 256,000 tokens the native does not catch up"


def test_a_shape_says_which_of_its_rows_have_none():
    good = {
        "shape": "d64", "seed": 0, "ppl": {"native": 2.0}, "interval": [0.1, 0.3], "r2": 0.5,
        "recovered": {"candidate": 0.2, "random_module": 0.0, "linear_surrogate": 0.1},
        "module_attributable": 0.1,
    }  # fmt: skip
    none = {
        **good, "seed": 1, "interval": None, "recovered": dict.fromkeys(good["recovered"]),
        "module_attributable": None, "no_ceiling": WHY,
    }  # fmt: skip
    text = shown(shapes_table({"donor": "a", "target": "b", "rows": [good, none]}))
    assert f"d64, seed 1: {WHY}" in text
    assert "0.200" in text
    assert text.count("no ceiling") == 5


def test_a_share_without_a_ceiling_is_printed_as_none():
    def texts(recorded, recomputed):
        return number_texts({"recorded": recorded, "recomputed": recomputed})

    assert texts(None, None) == texts(0.5, None) == ("no ceiling", "no ceiling")
    assert texts(None, 0.5) == ("no ceiling", "0.5000")
    assert texts(0.25, 0.5) == ("0.2500", "0.5000")


def test_rounds_of_updates_say_which_of_them_have_none():
    row = {
        "corpus": "prose", "matrix": {"zero_shot": {"ppl": {"none": {"x": 2.0}},
        "general_worsens": {}, "others_worsen": {}}},
        "matrix_gated": {"zero_shot": {"general_worsens": {}}}, "gate": {"zero_shot": {}},
        "ppl": {"m@b": dict.fromkeys(
            ("raw_updated", "zero_shot", "repaired", "native_updated"), 2.0
        )},
    }  # fmt: skip
    good = {**row, "round": 1, "efficacy": {"m@b": {"zero_shot": 0.75, "repaired": 0.5}}}
    none = {
        **row, "round": 2, "efficacy": {"m@b": {"zero_shot": None, "repaired": None}},
        "no_ceiling": {"m@b": WHY},
    }  # fmt: skip
    decay = {"m@b": {"zero_shot": None}}
    text = shown(succession_sheet({"rounds": [good, none], "backbone": "b", "decay": decay}))
    assert f"round 2, m@b: {WHY}" in text
    assert "75.0%" in text
    assert text.count("no ceiling") == 4


def test_a_gate_keeps_nothing_of_a_gain_that_is_none():
    raw, module, half, worse, unsure = (
        Likelihood(torch.tensor(nats, dtype=torch.float64), torch.full((4,), 10.0).double())
        for nats in (
            (20.0, 21, 22, 23), (16.0, 17, 18, 19), (18.0, 19, 20, 21), (21.0, 22, 23, 24),
            (12.0, 28, 14, 28),
        )
    )  # fmt: skip
    assert kept_text(kept_share(raw, module, module)) == "100.0%"
    assert kept_share(raw, module, half) == pytest.approx(0.5)
    assert kept_share(raw, module, raw) == 0.0
    assert kept_text(kept_share(raw, worse, worse)) == "nothing was gained"
    assert unsure.per_token < raw.per_token  # by what four documents do not tell
    assert kept_share(raw, unsure, half) is None
