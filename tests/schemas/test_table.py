"""Every verb has a schema that is strict enough to refuse a wrong object, down to its parts."""

from __future__ import annotations

import dataclasses
import json
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel

from commands.verb_table import VERBS
from transplant.activations.layout import CaptureHeader
from transplant.backbones.layercake.sizes import CoreSize
from transplant.calibration.bridge import BridgeQuality
from transplant.calibration.gate_fit import TriedMemory
from transplant.calibration.output_map import DonorMix
from transplant.errors import InputError
from transplant.evaluation.compare_numbers import Compared
from transplant.evaluation.config import PowerConfig
from transplant.files.results import SCHEMA_VERSION
from transplant.paste.body import BodyVerdict
from transplant.paste.verify import Check
from transplant.schemas import (
    alignment,
    cores,
    evidence,
    merges,
    moves,
    shares,
    surgery,
    updates,
)  # fmt: skip
from transplant.schemas.table import ERROR, REPORTS, check_report, schema_of
from transplant.surgery.fuse.evidence import Gain
from transplant.surgery.inject.fit import Reproduction
from transplant.training.config import UpdateConfig

EVERY = [name for names in VERBS.values() for name in names]
CRITERIA = ("top5", "top1", "js", "entropy")
NIB = {
    "schema_version": SCHEMA_VERSION, "anchor": "a", "candidate": "b",
    **dict.fromkeys(CRITERIA, 0.5),
    "pass": True, "verdict": "pass", "verdicts": dict.fromkeys(CRITERIA, "pass"),
    "interval": dict.fromkeys(CRITERIA, [0.4, 0.6]), "thresholds": dict.fromkeys(CRITERIA, 0.1),
    "seeds": [0], "chunks": 2, "positions": 8, "data": "prose", "split": "0",
    "made": {"verb": "nib", "options": {}, "seed": 0, "date": "2026-01-01", "versions": {}},
}  # fmt: skip
FAULT = {
    "schema_version": SCHEMA_VERSION, "error": "InputError", "what": "x", "expected": None,
    "found": None, "hint": None,
}  # fmt: skip
OPEN = {"Made"}
"""Parts that verbs add facts of their own to; a report is none of them."""


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
        ({"schema_version": SCHEMA_VERSION - 1}, "schema_version"),
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


def test_every_verb_has_a_schema_and_nothing_else_has():
    assert sorted(REPORTS) == sorted([*EVERY, ERROR])
    with pytest.raises(InputError, match="such as nib"):
        schema_of("nub")


@pytest.mark.parametrize("name", [*EVERY, ERROR])
def test_no_schema_is_open(name):
    schema = schema_of(name)["schema"]
    defined = schema.get("$defs", {})
    forms = schema.get("anyOf", [schema])
    for form in forms:
        report = defined[form["$ref"].rpartition("/")[2]] if "$ref" in form else form
        assert report["additionalProperties"] is False
        assert "schema_version" in report["required"]
        assert len(report["properties"]) > 2  # more than what all reports have
    for title, part in defined.items():
        if "properties" in part:
            assert part.get("additionalProperties") is (title in OPEN), title
    with pytest.raises(InputError):
        check_report(name, json.dumps({"schema_version": SCHEMA_VERSION}))


@pytest.mark.parametrize(
    ("part", "told", "other"),
    [
        (alignment.CaptureReport, CaptureHeader, ()),
        (cores.Body, BodyVerdict, ()),
        (cores.ComparedNumber, Compared, ()),
        (cores.CoreRow, CoreSize, ()),
        (cores.PasteCheck, Check, ()),
        (evidence.NIBPower, PowerConfig, ()),
        (moves.BridgeReport, BridgeQuality, ()),
        (shares.DonorMix, DonorMix, ("raw_weight", "shrink")),
        (surgery.FusionGain, Gain, ()),
        (surgery.Reproduced, Reproduction, ()),
        (updates.GateOrigin, TriedMemory, ()),
        (updates.Update, UpdateConfig, ()),
    ],
)
def test_a_part_that_tells_a_dataclass_has_its_fields(part, told, other):
    fields = {field.name for field in dataclasses.fields(told)} - {*other}
    assert fields <= part.model_fields.keys()


SPELLED = {
    "intervals": "interval", "ci": "interval", "low": "interval", "high": "interval",
    "elapsed": "seconds", "duration": "seconds", "time": "seconds", "module_seed": "seed",
    "random_seed": "seed", "base_model": "backbone", "passed": "pass", "splits": "split",
    "weights_hash": "weights_sha256", "perplexities": "ppl",
}  # fmt: skip


def test_one_thing_has_one_key():
    for name in REPORTS:
        for part in _parts(schema_of(name)["schema"]):
            keys = {*part["properties"]}
            if part["title"] == "MeanNIB":  # there it is how many
                keys -= {"passed"}
            assert not keys & {*SPELLED}, (name, part["title"])
            beside = [key for key in keys if key.removesuffix("_interval") in keys - {key}]
            assert not beside, (name, part["title"])


def _parts(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in (schema, *schema.get("$defs", {}).values()) if "properties" in part]


def test_what_is_said_of_each_report_and_part_is_in_its_schema():
    for place in REPORTS.values():
        room, _, _ = place.partition(".")
        module = import_module(f"transplant.schemas.{room}")
        for own in vars(module).values():
            if isinstance(own, type) and issubclass(own, BaseModel) and own is not BaseModel:
                assert own.__doc__, own
    told = schema_of("nib")["schema"]["$defs"]
    assert told["Power"]["properties"]["sd"]["description"].startswith("Standard deviation")


def test_a_share_may_lack_a_bound_and_a_mean_may_not():
    share = {"recovered": 0.5, "interval": [0.25, None]}
    assert shares.CeilingShare.model_validate_json(json.dumps(share)).interval == (0.25, None)
    kept = {"value": 0.5, "interval": [None, None]}
    assert merges.Kept.model_validate_json(json.dumps(kept)).interval == (None, None)
    with pytest.raises(ValueError, match="interval"):
        shares.Mean.model_validate_json(json.dumps({"mean": 0.5, "interval": [0.25, None]}))
