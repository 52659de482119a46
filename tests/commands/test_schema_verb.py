"""`abi schema`, and what every object on stdout has."""

from __future__ import annotations

import json

import pytest

from transplant.files.results import SCHEMA_VERSION


def test_a_schema_is_printed_as_it_stands_in_a_file(trained_abi):
    ran = trained_abi("schema", "nib")
    schema = json.loads(ran.out)
    assert schema["properties"]["pass"]["type"] == "boolean"
    assert trained_abi("schema", "nib", "--json").json["schema"] == schema
    assert "nib" in trained_abi("schema", "--json").json["schemas"]
    assert "basis fit" in trained_abi("schema").out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("list",), 0),
        (("show", "nothing@tiny-gpt2"), 1),
        (("show", "tales@tiny-gpt2", "--recipe"), 0),
        (("nib", "--anchor", "a"), 2),
        (("nib", "--nowhere"), 2),
        (("train", "--backbone", "b", "--domain", "d", "--steps", "many"), 2),
        (("rm", "tales@tiny-gpt2"), 1),
    ],
)
def test_stdout_is_one_object_with_its_version(trained_abi, words, code):
    ran = trained_abi(*words, "--json")
    assert ran.code == code
    assert ran.json["schema_version"] == SCHEMA_VERSION
    assert ("error" in ran.json) == (code > 0)
