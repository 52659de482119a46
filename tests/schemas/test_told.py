"""A dataclass in a report has all of its fields there, whatever their defaults, and no others."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from transplant.advice.measured import Measured
from transplant.schemas.base import Part
from transplant.schemas.told import Whole, part_of


class Outer(Part):
    """A part with a dataclass in it, and one with dataclasses inside."""

    one: Whole[Measured]
    more: list[Whole[Measured]]


PAIR = {"donor": 1, "target": 0, "r2": 0.5, "cosine": 0.5}
WHOLE = {
    "donor": "a", "target": "b", "texts": ["prose"], "domain": None, "r2": 0.5, "cosine": 0.5,
    "shared_cosine": None, "pairs": [PAIR], "exact_tokens": 0.5, "exact_text": 0.5, "paired": 0.5,
    "layers": 2, "impact": {"block.0.mlp": 0.1}, "divergence": None, "correction_cosine": None,
    "candidates": [], "traced": False, "bank": None, "pieces": ["ffn.0"], "similar": {"0": 1},
    "roles": {"1": ["induction"]},
    "route": {"model": "m", "tau": None, "coverage": 0.5, "regress": 0.0, "budget": 0.1},
}  # fmt: skip


def check(one: dict[str, object]) -> None:
    Outer.model_validate_json(json.dumps({"one": one, "more": [one]}))


@pytest.mark.parametrize("key", sorted(WHOLE))
def test_every_field_is_asked_for_whatever_its_default(key):
    check(WHOLE)  # control
    with pytest.raises(ValidationError, match=key):
        check({name: value for name, value in WHOLE.items() if name != key})


@pytest.mark.parametrize(
    ("key", "wrong"),
    [("layers", 2.5), ("r2", "0.5"), ("pairs", {}), ("traced", 1), ("similar", {"a": 1})],
)
def test_a_field_has_its_type(key, wrong):
    with pytest.raises(ValidationError, match=key):
        check({**WHOLE, key: wrong})


def test_a_stray_key_is_refused_inside_dataclasses_inside_too():
    for wrong in (
        {**WHOLE, "stray": 1},
        {**WHOLE, "pairs": [{**PAIR, "stray": 1}]},
        {**WHOLE, "route": {"model": "m"}},
    ):
        with pytest.raises(ValidationError):
            check(wrong)


def test_what_is_said_of_a_field_is_said_in_the_schema():
    schema = part_of(Measured).model_json_schema()
    assert schema["properties"]["exact_text"]["description"].startswith("The same of the first")
    assert sorted(schema["required"]) == sorted(WHOLE)
    assert schema["$defs"]["TapPair"]["additionalProperties"] is False
