"""Facts that readers depend on are refused by the manifest, before anybody reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry import REFERENCE, Manifest
from transplant.errors import CorruptError

FILE = Path("manifest.json")
MODULE = {"domain": "a", "d_abi": 4, "core": "c", "made": {}, "results": {}, "more": 1}


@pytest.mark.parametrize(
    ("kind", "made", "results", "named"),
    [
        ("module", {"token_counts": {"a": "1"}}, {}, "token_counts"),
        ("module", {"token_counts": [1]}, {}, "token_counts"),
        ("module", {"corpus": 5}, {}, "corpus"),
        ("module", {"recipe": [1]}, {}, "recipe"),
        ("module", {}, {"recovered": [1]}, "recovered"),
        ("bank", {}, {}, "pieces"),
        ("bank", {"pieces": {"ffn.1": 3}}, {}, "pieces"),
        ("fusion", {}, {}, "fusion"),
        ("injection", {"injection": None}, {}, "injection"),
        ("adapter", {"scales": {"a": True}}, {}, "scales"),
        ("backbone", {"modules": {"m": {**MODULE, "made": 1}}}, {}, "modules.m"),
        ("backbone", {"modules": {"m": {"domain": "a"}}}, {}, "modules.m"),
        ("backbone", {"modules": {"m": {**MODULE, "made": {"corpus": 1}}}}, {}, "modules.m.made"),
        ("backbone", {}, {"parameters": "2M"}, "parameters"),
        ("bridge", {"align": 3}, {}, "align"),
    ],
)
def test_a_fact_of_another_type_is_named(
    make: Callable[..., Manifest], kind: str, made: Any, results: Any, named: str
) -> None:
    fields = json.loads(make(kind=kind).to_json())
    fields |= {"made": made, "results": results}
    with pytest.raises(CorruptError, match=named):
        Manifest.from_json(json.dumps(fields), FILE)


@pytest.mark.parametrize(
    ("kind", "made", "results"),
    [
        ("module", {"anything": [1, {}]}, {"more": None}),
        ("module", {"token_counts": {"0a": 3}}, {"ppl": {"raw": 2, "native": 1.5}}),
        ("bank", {"pieces": {}}, {}),
        ("backbone", {"modules": {"m": MODULE}}, {"ppl": {"prose": 2.0}}),
    ],
)
def test_what_writers_write_is_read(
    make: Callable[..., Manifest], kind: str, made: Any, results: Any
) -> None:
    manifest = make(kind=kind, made=made, results=results)
    assert Manifest.from_json(manifest.to_json(), FILE) == manifest


def test_everything_that_ships_is_read() -> None:
    from commands.verbs.verify import SHIPPED
    from transplant.workflows.move.json_record import read_record

    files = sorted(REFERENCE.rglob("manifest.json"))
    assert len(files) > 5
    for file in files:
        Manifest.from_json(file.read_text(), file)
    assert read_record(REFERENCE / SHIPPED)["moves"]
