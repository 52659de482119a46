"""Results of earlier versions have the keys of the present one once they are read."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from transplant.files.former_keys import with_present_keys

RESULTS = Path(__file__).parents[2] / "examples" / "results"


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ({"intervals": {"recovered": {}}}, {"interval": {"recovered": {}}}),
        (
            {"accuracy": 0.5, "accuracy_interval": [0.4, 0.6], "pairs": 3},
            {"accuracy": 0.5, "pairs": 3, "interval": {"accuracy": [0.4, 0.6]}},
        ),
        ({"nats": 1.0, "low": 0.5, "high": 2.0}, {"nats": 1.0, "interval": [0.5, 2.0]}),
        ({"value": None, "low": None, "high": None}, {"value": None, "interval": None}),
        ({"passed": True}, {"pass": True}),
        ({"rows": [{"voice": {"gain": 1.0}, "heard": "both"}]},
         {"rows": [{"donor_mix": {"gain": 1.0}, "added": "both"}]}),
        ({"splits": {"a": "0"}}, {"split": {"a": "0"}}),
    ],
)  # fmt: skip
def test_a_former_key_has_its_present_name(former, present):
    kept = copy.deepcopy(former)
    assert with_present_keys(former) == present
    assert former == kept
    assert with_present_keys(present) == present


@pytest.mark.parametrize(
    "other",
    [
        {"passed": 3},  # a count
        {"heard": 5, "intervals": 7, "low": 1, "high": 2},  # a vocabulary
        {"chunks_for_interval": 3, "thresholds": {"low": 1}},
        {"interval": [0, 1], "intervals": {}},
        [1, "intervals", None],
    ],
)
def test_other_json_stays_as_it_is(other):
    assert with_present_keys(other) == other


def test_the_recorded_results_have_none_of_the_former_keys_once_read():
    found = set()
    for file in sorted(RESULTS.glob("*.json")):
        text = json.dumps(with_present_keys(json.loads(file.read_text())))
        assert '"intervals"' not in text, file
        assert '"accuracy_interval"' not in text, file
        found |= {key for key in ("intervals", "low") if f'"{key}"' in file.read_text()}
    assert found == {"intervals", "low"}  # control: files of earlier versions are among them
