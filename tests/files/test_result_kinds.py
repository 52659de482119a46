"""Results are told apart by their fields; those of the verbs themselves in the verbs' own tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transplant.files.result_kinds import KINDS, kind_of, kind_of_file, results_in

RESULTS = Path(__file__).parents[2] / "examples" / "results"
SHIPPED = {
    "transfer": ("moves", "move"),
    "real": ("moves", "move"),
    "layercake": ("other", "move"),
    "curve-ref-gpt2-ref-llama": ("curve", "curve"),
    "curve-lm-ref-gpt2-ref-gpt2-b": ("curve", "curve"),  # without the name of an objective
    "ablate-objectives-ref-gpt2-ref-llama": ("ablation", "ablation"),
    "ceiling-ref-gpt2-ref-llama": ("ablation", "ablation"),
    "same-ref-gpt2-b": ("other", "nib"),
    "blimp": ("other", "pairs"),
}


@pytest.mark.parametrize("name", [*SHIPPED])
def test_what_earlier_versions_wrote_is_known(name):
    data = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    whole, inside = SHIPPED[name]
    assert kind_of_file(data) == whole
    assert inside in {kind for kind, *_ in results_in(data)}


def test_every_kind_that_is_drawn_or_has_a_section_is_a_kind_of_result():
    from transplant.evidence.report.evidence import SHOWN
    from transplant.studio.drawn import DRAWN

    assert {*DRAWN, *SHOWN} <= {*KINDS}


@pytest.mark.parametrize("kind", [*KINDS])
def test_fields_decide_and_the_first_of_them_is_text(kind):
    result = dict.fromkeys(KINDS[kind], "text")
    assert kind_of(result) == kind_of_file(result) == kind
    for name in result:
        assert kind_of({key: value for key, value in result.items() if key != name}) != kind
    assert kind_of(dict.fromkeys(result, 7)) is None  # a vocabulary with these words
    assert [found for found, *_ in results_in({"a": [result]})] == [kind]


@pytest.mark.parametrize("data", [None, 3, "trace", [], [3], [[]], {}, {"donor": "a"}])
def test_other_json_is_no_result(data):
    assert kind_of_file(data) == "other"
    assert [*results_in(data)] == []
