from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry import SCHEMA_VERSION, Manifest, TensorRecord
from transplant.errors import CorruptError, InputError, VersionError

FILE = Path("somewhere/manifest.json")


@pytest.fixture
def full(make: Callable[..., Manifest]) -> Manifest:
    return make(
        taps=(3, 5),
        domain="python",
        tensors={
            "b": TensorRecord(shape=(), dtype="F32", sha256="0" * 64),
            "a": TensorRecord(shape=(2, 3), dtype="BF16", sha256="1" * 64),
        },
        made={"verb": "train", "options": {"lr": 0.1}, "seed": 1},
        results={"ppl": [1.5, None]},
        parents={"donor": "2" * 64},
        license="MIT",
    )


def test_json_gives_back_the_same_manifest_and_the_same_text(full: Manifest) -> None:
    text = full.to_json()
    again = Manifest.from_json(text, FILE)
    assert again == full
    assert again.to_json() == text
    assert text == json.dumps(json.loads(text), sort_keys=True, indent=2) + "\n"


def test_a_manifest_from_the_future_names_both_versions() -> None:
    data = {"schema_version": SCHEMA_VERSION + 1, "unknown": 1}
    with pytest.raises(VersionError) as caught:
        Manifest.from_json(json.dumps(data), FILE)
    for part in (str(FILE), str(SCHEMA_VERSION), str(SCHEMA_VERSION + 1), "upgrade abi"):
        assert part in str(caught.value)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Manifest)])
def test_a_missing_field_is_named(full: Manifest, field: str) -> None:
    data = json.loads(full.to_json())
    del data[field]
    with pytest.raises(CorruptError, match=rf"manifest\.json.*\.{field}: expected the field"):
        Manifest.from_json(json.dumps(data), FILE)


def set_at(data: Any, keys: list[Any], value: Any) -> None:
    for key in keys[:-1]:
        data = data[key]
    data[keys[-1]] = value


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["extra"], 1),
        (["backbone", "extra"], 1),
        (["backbone", "d_model"], "8"),
        (["backbone", "d_model"], True),
        (["backbone", "revision"], 5),
        (["backbone"], []),
        (["taps"], 3),
        (["taps", 0], 3.0),
        (["tensors", "a", "shape"], "2x3"),
        (["tensors", "a"], None),
        (["parents", "donor"], 1),
        (["made"], []),
        (["name"], None),
    ],
)
def test_an_unknown_field_or_another_type_is_named(
    full: Manifest, keys: list[Any], value: Any
) -> None:
    data = json.loads(full.to_json())
    set_at(data, keys, value)
    with pytest.raises(CorruptError) as caught:
        Manifest.from_json(json.dumps(data), FILE)
    assert str(FILE) in str(caught.value)
    assert str(next(k for k in reversed(keys) if isinstance(k, str))) in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "value"),
    [(["name"], "../up"), (["kind"], "virus"), (["d_abi"], 0), (["schema_version"], 0)],
)
def test_a_value_that_cannot_be_stored_is_refused_on_both_ways(
    make: Callable[..., Manifest], keys: list[str], value: Any
) -> None:
    with pytest.raises(InputError, match=keys[0]):
        make(**{keys[0]: value})
    data = json.loads(make().to_json())
    data[keys[0]] = value
    with pytest.raises(CorruptError, match=keys[0]):
        Manifest.from_json(json.dumps(data), FILE)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": NaN}', "[" * 100_000])
def test_text_that_is_no_json_object_is_corrupt(text: str) -> None:
    with pytest.raises(CorruptError, match=r"manifest\.json"):
        Manifest.from_json(text, FILE)


def test_a_number_that_is_not_json_is_corrupt(make: Callable[..., Manifest]) -> None:
    text = make(results={"ppl": 7}).to_json().replace(": 7\n", ": NaN\n")
    with pytest.raises(CorruptError, match="NaN is not JSON"):
        Manifest.from_json(text, FILE)


@pytest.mark.parametrize("value", [{1, 2}, Path("x")])
def test_a_result_that_json_cannot_hold_is_refused(
    make: Callable[..., Manifest], value: Any
) -> None:
    with pytest.raises(InputError, match="python"):
        make(results={"ppl": value}).to_json()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_result_that_is_no_finite_number_is_null_and_ends_no_run(
    make: Callable[..., Manifest], value: float
) -> None:
    made = make(results={"ppl": {"raw": 2.5, "shuffled": value}, "tried": [1.0, value]})
    again = Manifest.from_json(made.to_json(), FILE)
    assert again.results == {"ppl": {"raw": 2.5, "shuffled": None}, "tried": [1.0, None]}
    with pytest.raises(InputError, match="python"):  # how it was made is said with numbers
        make(made={"verb": "train", "lr": value}).to_json()
    with pytest.raises(InputError, match="python"):  # and so is what readers depend on
        make(kind="bridge", d_abi=None, results={"r2": value}).to_json()


def test_identity_depends_on_the_tensors_alone(full: Manifest) -> None:
    reordered = dataclasses.replace(
        full,
        name="moved",
        domain=None,
        results={},
        tensors=dict(reversed(full.tensors.items())),
    )
    assert reordered.sha256 == full.sha256


@pytest.mark.parametrize(
    "change", [{"shape": (3, 2)}, {"dtype": "F16"}, {"sha256": "3" * 64}, {"name": "c"}]
)
def test_identity_changes_with_every_part_of_a_tensor(
    full: Manifest, change: dict[str, Any]
) -> None:
    fields = {key: value for key, value in change.items() if key != "name"}
    record = dataclasses.replace(full.tensors["a"], **fields)
    changed = {"b": full.tensors["b"], change.get("name", "a"): record}
    assert dataclasses.replace(full, tensors=changed).sha256 != full.sha256
