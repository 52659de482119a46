"""Schemas are strict enough that a wrong object is refused, and say where they are not."""

from __future__ import annotations

import json

import pytest

from commands.verb_table import VERBS
from transplant.errors import InputError
from transplant.schemas.table import ERROR, check_report, is_open, schema_of, schemas_of

EVERY = [name for names in VERBS.values() for name in names]
CRITERIA = ("top5", "top1", "js", "entropy")
NIB = {
    "schema_version": 1, "anchor": "a", "candidate": "b", **dict.fromkeys(CRITERIA, 0.5),
    "pass": True, "verdict": "pass", "verdicts": dict.fromkeys(CRITERIA, "pass"),
    "interval": dict.fromkeys(CRITERIA, [0.4, 0.6]), "thresholds": dict.fromkeys(CRITERIA, 0.1),
    "seeds": [0], "chunks": 2, "positions": 8, "data": "prose", "split": "0",
    "made": {"verb": "nib", "options": {}, "seed": 0, "date": "2026-01-01", "versions": {}},
}  # fmt: skip
FAULT = {
    "schema_version": 1, "error": "InputError", "what": "x", "expected": None, "found": None,
    "hint": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"passed": True}, "passed"),  # another spelling of `pass`
        ({"intervals": {}}, "intervals"),
        ({"pass": None}, "pass"),
        ({"pass": "yes"}, "pass"),
        ({"chunks": 2.5}, "chunks"),
        ({"top5": "0.5"}, "top5"),
        ({"interval": dict.fromkeys(CRITERIA, [0.4])}, "interval.top5"),
        ({"schema_version": 2}, "schema_version"),
        ({"made": {"verb": "nib"}}, "made.options"),
    ],
)
def test_a_wrong_object_is_refused(change, said):
    check_report("nib", json.dumps(NIB))  # control
    with pytest.raises(InputError, match=f"the report of nib: {said}"):
        check_report("nib", json.dumps(NIB | change))


@pytest.mark.parametrize("key", sorted(NIB))
def test_every_key_is_asked_for(key):
    with pytest.raises(InputError, match=key):
        check_report("nib", json.dumps({k: v for k, v in NIB.items() if k != key}))


def test_an_error_is_no_report_and_a_report_no_error():
    check_report(ERROR, json.dumps(FAULT))
    for name, other in (("nib", FAULT), (ERROR, NIB)):
        with pytest.raises(InputError):
            check_report(name, json.dumps(other))


@pytest.mark.parametrize("name", [*EVERY, ERROR])
def test_every_verb_has_a_schema_that_says_whether_it_is_open(name):
    found = schema_of(name, EVERY)
    schema = found["schema"]
    assert found["open"] is is_open(name)
    for one in [it for it in (schema, *schema.get("$defs", {}).values()) if "properties" in it]:
        if "schema_version" in one["properties"]:
            assert one["additionalProperties"] is found["open"]
            assert "schema_version" in one["required"]
    check = json.dumps({"schema_version": 1})
    if found["open"] and len(schema["required"]) == 1:
        check_report(name, check)
    else:
        with pytest.raises(InputError):
            check_report(name, check)


def test_the_table_has_each_verb_once():
    found = schemas_of(EVERY)
    assert sorted(found["typed"] + found["open"]) == sorted([*EVERY, ERROR])
    with pytest.raises(InputError, match="such as nib"):
        schema_of("nub", EVERY)
