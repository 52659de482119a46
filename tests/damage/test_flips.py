"""A flipped byte in each part of each kind of artifact; `bench_flips.py` does every verb."""

from __future__ import annotations

import json

import pytest

from registry.seal import SEAL
from tests.damage.flips import Flip, Judge, draw_flips
from tests.damage.readers import READS
from tests.damage.scene import build, keep, restore

QUICK = {
    "module": "nib of a module", "interface": "calibrate", "gate": "nib of a module",
    "bridge": "calibrate", "bridge of layers": "inject --align", "fusion": "nib of a fusion",
    "bank": "inject", "injection": "nib of an injection", "adapter": "nib of an adapter",
    "tokens": "embed-init", "backbone": "extract", "core (source)": "nib of a core",
    "core (pasted)": "nib of a pasted core", "checkpoint of train": "train --resume",
    "capture": "calibrate --from-activations",
}  # fmt: skip


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> Judge:
    scene = build(tmp_path_factory.mktemp("damage") / "scene")
    return Judge(scene, keep(scene))


def test_nothing_damaged_is_used_without_a_word(judge):
    flips = [(flip, verb) for kind, verb in QUICK.items() for flip in draws(judge, kind)]
    assert {flip.kind for flip, _ in flips} == set(QUICK), "a kind without a file is not tested"
    found = [judge.judge(flip, verb) for flip, verb in flips]
    assert [one for one in found if not one.fine] == []
    assert sum(one.said == "detected" for one in found) > 0.9 * len(found)
    assert all(QUICK[kind] in READS[kind][1] for kind in QUICK)


def test_a_flipped_tap_under_a_manifest_without_a_seal_is_judged_silent(judge):
    """The control: the judge sees damage that nobody refuses."""
    name = f"{READS['interface'][0]}/manifest.json"
    kept = judge.kept / name
    fields = json.loads(whole := kept.read_text())
    kept.unlink()
    kept.write_text(text := json.dumps({k: v for k, v in fields.items() if k != SEAL}))
    place = text.index('"taps": [2') + len('"taps": [')  # bit 1: layer 0
    found = judge.judge(Flip("interface", name, "taps", place, 1), "nib of a module")
    kept.unlink()
    kept.write_text(whole)
    assert (found.said, found.fine) == ("silent", False)


def draws(judge: Judge, kind: str) -> list[Flip]:
    restore(judge.scene, judge.kept)
    return list(draw_flips(judge.scene, kind, 1))
