"""Shares of a ceiling's gain: given where there is one, and by documents."""

from __future__ import annotations

import pytest

from tests.benchmarks.peer_table import BUDGETED, COLUMNS, has_ceiling, lines, over_budget, share_of


def cells(**losses):
    """Nats of three documents of ten tokens, at a loss per token each."""
    tokens = [10.0] * 3
    return {name: {"nats": [10 * loss for loss in three], "tokens": tokens, "seconds": 2.0}
            for name, three in losses.items()}  # fmt: skip


def test_half_of_the_gain_is_a_share_of_one_half():
    found = cells(raw=(4, 4, 5), retrained=(3, 3.5, 4), half=(3.5, 3.75, 4.5))
    assert share_of(found, "half").mean == pytest.approx(0.5)
    assert share_of(found, "half").low == pytest.approx(0.5)
    assert share_of(found, "retrained").mean == pytest.approx(1.0)
    assert [row[0] for row in lines(found, found)] == ["retrained", "half"]


def test_there_is_no_share_without_a_ceiling():
    small = cells(raw=(4, 4, 4), retrained=(3.96, 3.96, 3.96), it=(3, 3, 3))
    unsure = cells(raw=(4, 4, 4), retrained=(2, 4.5, 4.5), it=(3, 3, 3))
    for found in (small, unsure, cells(raw=(4, 4, 4), it=(3, 3, 3))):
        assert not has_ceiling(found)
        assert share_of(found, "it") is None
        assert lines(found, ["it"])[0][1:3] == ("+1.000 (+1.000 to +1.000)", "no ceiling")


def test_a_cell_of_other_windows_brings_its_own_ceiling():
    found = cells(raw=(4, 4, 4), retrained=(3, 3, 3), beside=(5, 5, 5))
    own = cells(own_raw=(6, 6, 6), raw=(6, 6, 6), retrained=(4, 4, 4))
    found["beside"] |= own
    assert share_of(found, "beside").mean == pytest.approx(0.5)


def test_what_is_not_possible_is_said():
    found = cells(raw=(4, 4, 4)) | {"copy": {"not_possible": "shapes differ", "seconds": 0.0}}
    assert lines(found, ["copy"]) == [("copy", "shapes differ", "", "", "")]


def test_a_cell_is_compared_with_retraining_on_the_budget_document_by_document():
    """Documents differ by far more than the two cells do: unpaired, nothing would be seen."""
    found = cells(raw=(9, 5, 1), retrained=(8, 4, 0.5), budget=(8.5, 4.5, 0.7),
                  ahead=(8.4, 4.4, 0.6), behind=(8.6, 4.7, 0.7))  # fmt: skip
    found[BUDGETED] = found.pop("budget")
    ahead, behind = (over_budget(found, name) for name in ("ahead", "behind"))
    assert ahead.mean == pytest.approx(0.1)
    assert ahead.low == pytest.approx(0.1)
    assert behind.mean == pytest.approx(-0.1)
    assert behind.high <= 0
    row = dict(zip(COLUMNS, lines(found, ["ahead"])[0], strict=True))
    assert row["minus retrained on budget, 95 %"] == "+0.100 (+0.100 to +0.100)"
    assert over_budget(found, BUDGETED) is None
    other = cells(elsewhere=(5, 5))["elsewhere"] | {"tokens": [10.0, 9.0]}
    assert over_budget(found | {"elsewhere": other}, "elsewhere") is None
    assert over_budget(cells(raw=(4, 4, 4), it=(3, 3, 3)), "it") is None
