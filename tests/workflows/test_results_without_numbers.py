"""What was measured and is no finite number stands in a manifest as null, and is read as such."""

from __future__ import annotations

import math

import pytest

from transplant.errors import CorruptError
from transplant.workflows.candidates import _gained
from transplant.workflows.export.card import _evidence


def test_a_native_whose_perplexity_is_no_number_has_gained_nothing_that_is_known():
    assert _gained({"ppl": {"raw": 9.0, "native": 3.0}}) == pytest.approx(math.log(3.0))
    assert _gained({"ppl": {"raw": 9.0, "native": None}}) is None
    assert _gained({"ppl": {"raw": None, "native": 3.0}}) is None
    assert _gained({}) is None
    with pytest.raises(CorruptError):
        _gained({"ppl": {"raw": 9.0, "native": 0.0}})


def test_a_card_says_where_an_interval_has_no_bound():
    results = {
        "ppl": {"native": 3.0, "candidate": None},
        "recovered": {"candidate": {"share": 0.5, "interval": [0.25, None]}},
    }
    shown = _evidence(results)
    assert "interval 0.25 to unbounded" in shown
    assert "None" not in shown
