"""A few kills of `train`, `paste` and `add`; `bench_kills.py` does every verb at many moments."""

from __future__ import annotations

import pytest

from tests.damage.kills import Kill, Killing, run_apart
from tests.damage.scene import Scene, build, keep

CORES = ("core", "other core", "module inside a core")


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    base = tmp_path_factory.mktemp("kills") / "scene"
    assert run_apart(lambda: build(base, CORES, stopped=False) and 0) == 0  # keeps no threads here
    return Scene(base)


SOME = ("train", "paste", "paste --out", "add", "add of a GGUF file")


@pytest.mark.parametrize("verb", SOME)
def test_next_run_ends_in_the_files_of_one_left_alone(scene, verb):
    if "GGUF" in verb:
        pytest.importorskip("gguf")
        pytest.importorskip("transformers", minversion="5.17")
    kept = keep(scene) if not (kept := scene.base.with_name("scene.kept")).exists() else kept
    killing = Killing(scene, kept, verb)
    last = killing.operations
    moments = [last // 2, last - 4, last - 1, last]
    if verb.startswith("add"):
        moments = [last // 2, last]
    trials = [killing.trial(Kill(operation=moment)) for moment in moments]
    assert all(trial.killed for trial in trials)  # control: each was ended before its own end
    assert [trial for trial in trials if trial.faults] == []
