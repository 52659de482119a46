"""Mutated manifests of every kind before everything that reads them: used, or one named error."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry import REFERENCE, Entry, Manifest, Registry
from registry.seal import SEAL, sealed
from tests.fuzz.mutations import change
from tests.registry.stored import WEIGHTS
from transplant.alignment.token_map import TokenMap
from transplant.errors import TransplantError
from transplant.modules.forms import module_from_tensors
from transplant.modules.gate import Gate
from transplant.modules.interface import Interface
from transplant.modules.linear import LinearCorrection
from transplant.surgery.bank.piece import Bank
from transplant.surgery.fuse.stored import FusionRecord
from transplant.surgery.inject.stored import InjectionRecord
from transplant.surgery.lora.update import LoraUpdate
from transplant.workflows.candidates import _gained, _recovered
from transplant.workflows.cores.modules_inside import find_core_module, module_records
from transplant.workflows.inject.banks import describe_pieces
from transplant.workflows.move.native import native_recipe_of

MADE: dict[str, dict[str, Any]] = {
    "module": {"recipe": {"taps": [-1], "d_abi": 4}, "token_counts": {"0a": 3}, "corpus": "a"},
    "interface": {"config": {"gains": [1.0]}},
    "bridge": {"align": {"from": ["a", "block.0.in"], "to": ["b", "block.1.in"]}},
    "adapter": {"scales": {"h.0": 2.0}},
    "bank": {"pieces": {"ffn.0": {"width": 4, "inner": 8}}},
    "tokens": {"source": "b"},
    "injection": {"injection": {"bank": "b", "donor": "d", "part": "ffn.0", "layer": 1,
                                "gate": "scalar", "mixture": 1}},
    "fusion": {"fusion": {"combiner": "gate", "members": [["a", 4], ["b", None]], "layer": 1}},
    "linear": {"student": "linear", "donor": {"base": "a", "one_head": True}},
    "gate": {"config": {"memory": 0.5}},
    "backbone": {"modules": {"m": {"domain": "a", "d_abi": 4, "core": "c", "made": {"form": "lite"},
                                   "results": {}}}, "recipe": {"seed": 1}},
}  # fmt: skip
RESULTS = {"ppl": {"raw": 3.0, "native": 2.0}, "recovered": {"candidate": 0.5}}
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**64, 10**400, 1.5, 1e308, "", "x" * 300, "\ud800", "\x1b[2J", "../../etc",
    "a\nb", [], {}, [None], {"": None}, [[]] * 9, {"a": {"b": {"c": 1}}},
)  # fmt: skip


def mutated(fields: dict[str, Any], draw: random.Random) -> str:
    """The text of a manifest in which one thing is another, twice, gone, or nested deeply."""
    places = list(_places(fields))
    for _ in range(draw.choice((1, 1, 2))):
        holder, key = draw.choice(places)
        try:
            change(holder, key, draw, ODD)
        except (KeyError, IndexError):  # the second change of one place
            continue
    text = json.dumps(fields, indent=2)
    if draw.random() < 0.1:
        at = draw.randrange(len(text))
        text = (
            text[:at] + draw.choice(("", "{", "NaN", "1e999", '"a":1,"a":1,', "\x00")) + text[at:]
        )
    return text


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def read_everything(store: Registry, kind: str, entry: Entry) -> None:
    """What verbs do with an artifact before any model is loaded."""
    manifest, tensors = entry.manifest, store.read(entry)
    manifest.to_json()
    _gained(manifest.results)
    _recovered(manifest.results) if kind == "module" else None
    native_recipe_of(manifest)
    readers: dict[str, Callable[[], object]] = {
        "module": lambda: module_from_tensors(tensors),
        "interface": lambda: Interface.from_tensors(tensors, manifest.taps),
        "adapter": lambda: LoraUpdate.from_tensors(tensors, manifest.made["scales"]),
        "bank": lambda: (describe_pieces(manifest),
                         Bank.from_stored(tensors, manifest.made["pieces"])),
        "tokens": lambda: TokenMap.from_tensors(tensors),
        "injection": lambda: InjectionRecord.from_dict(manifest.made["injection"]),
        "fusion": lambda: FusionRecord.from_dict(manifest.made["fusion"]),
        "gate": lambda: Gate.from_tensors(tensors),
        "linear": lambda: LinearCorrection.from_stored(tensors, manifest.taps),
        "backbone": lambda: [find_core_module(store, store.split_name(f"{name}@ref-gpt2"))
                             for name in module_records(store, "ref-gpt2") if name.isalnum()],
    }  # fmt: skip
    readers.get(kind, lambda: None)()


@pytest.mark.parametrize("kind", sorted(MADE))
def test_mutated_manifests_are_read_or_named(
    store: Registry, make: Callable[..., Manifest], tmp_path: Path, kind: str
) -> None:
    draw = random.Random(f"manifest of {kind}")
    facts: dict[str, Any] = {"kind": kind, "made": MADE[kind], "results": {}, "taps": (1,)}
    if kind == "module":
        facts["results"] = RESULTS
    if kind == "backbone":
        source = tmp_path / "source"
        shutil.copytree(REFERENCE / "ref-gpt2", source, ignore=shutil.ignore_patterns("d*"))
        made = make(**facts, name="ref-gpt2", d_abi=None)
        entry = store.write_backbone(made, source)
    else:
        entry = store.write(make(**facts), WEIGHTS)
    file, name = entry.path / "manifest.json", entry.manifest.name
    whole = json.loads(file.read_text())
    del whole[SEAL]
    outcomes: Counter[str] = Counter()
    for _ in range(80):
        text = mutated(json.loads(json.dumps(whole)), draw)
        with contextlib.suppress(ValueError, RecursionError):  # it stays without a seal
            text = sealed(text) if draw.random() < 0.5 else text
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        good, bad = store.entries(), store.problems()
        assert len(good) + len(bad) == 1
        try:
            read_everything(store, kind, store.find(kind, name, "ref-gpt2"))
            outcomes["used"] += 1
        except TransplantError as error:
            " ".join(str(error).split()).encode()
            outcomes["named"] += 1
    assert outcomes["named"] > 20, outcomes
    store.remove(store.held(kind, name, "ref-gpt2"))
    assert store.entries() == []
