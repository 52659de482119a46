"""What a move does where nothing was asked for: it depends on the target's vocabulary."""

from __future__ import annotations

import pytest

import transplant
from tests.tiny_registry import tiny_workspace
from transplant import memory
from transplant.calibration import large_vocabulary
from transplant.calibration.changes.spec import CHANGES
from transplant.errors import MemoryLimitError
from transplant.workflows.capture import run_capture
from transplant.workflows.capture_job import CaptureJob
from transplant.workflows.move import ceiling
from transplant.workflows.move.from_activations import reading_files

RECIPE = transplant.TrainConfig(steps=30, window=64, batch=2, train_tokens=6000, d_abi=16)


@pytest.fixture(scope="module")
def scene(tmp_path_factory, tiny_texts):
    """A registry with a `tales` on each of three backbones, the corpus, and two captures of it."""
    root = tmp_path_factory.mktemp("suited")
    work, corpus = tiny_workspace(root, tiny_texts, ("tiny-gpt2", "tiny-t5"), RECIPE)
    files = []
    for backbone in ("tiny-gpt2", "tiny-llama"):
        files.append(root / f"{backbone}.h5")
        job = CaptureJob(
            backbone=backbone, data=corpus, out=files[-1], taps="all", stored="fp32", window=64,
            max_tokens=None, pool="none",
        )  # fmt: skip
        run_capture(work, job, resume=False)
    return work, corpus, files


@pytest.fixture(params=["small", "large"])
def large(request, monkeypatch):
    """Whether the target's vocabulary counts as large."""
    if request.param == "large":
        monkeypatch.setattr(large_vocabulary, "WHOLE", 10)
    return request.param == "large"


def moved(scene, **asked):
    work, corpus, _ = scene
    config = transplant.MoveConfig(excerpts=20, donor_words=(0.0,), likely_tokens=64, **asked)
    return work.move(
        "tales@tiny-gpt2", to="tiny-llama", pair_on=corpus, domain_data=corpus, config=config
    )


def test_a_large_vocabulary_gets_what_was_found_to_suit_it(scene, large):
    move = moved(scene)
    assert {way.change for way in move.choice.tried} == {"lacking" if large else "begins-with"}
    assert bool(move.wanted.inside) is large
    recorded = move.facts()["config"]
    assert recorded["changes"] == (("lacking",) if large else ("begins-with",))
    assert recorded["inside"] == ("continued" if large else "left-out")


def test_what_is_asked_for_counts(scene, large):
    move = moved(scene, changes=("push-forward",), inside="left-out" if large else "nothing")
    assert {way.change for way in move.choice.tried} == {"push-forward"}
    assert bool(move.wanted.inside) is not large


def test_rows_from_files_learn_nothing_of_how_a_token_goes_on(scene, large):
    with reading_files(moved(scene), (*scene[2],), None) as move:
        assert move.facts()["config"]["inside"] == ("nothing" if large else "left-out")
        assert bool(move.wanted.inside) is large


def test_several_donors_have_no_tokens_in_common_to_go_on_inside(scene, large):
    work, corpus, _ = scene
    move = work.move_taught(
        ("tales@tiny-gpt2", "tales@tiny-t5"), "tiny-llama", domain="tales", pair_on=corpus,
        domain_data=corpus,
        config=transplant.MoveConfig(
            excerpts=20, donor_words=(0.0,), likely_tokens=64, longer="auto"
        ),
    )  # fmt: skip
    assert move.linear.config.change == ("lacking" if large else "begins-with")
    assert move.linear.wanted.inside == ()
    assert {way.longer for way in move.linear.tried} == {"first"}  # nor along one of them


def test_the_ceiling_is_that_of_every_way_and_not_of_the_move_s_own(scene, monkeypatch):
    """What one way does not bring another may: only what none brings is lost in the vocabulary."""

    class Stop(Exception):
        pass

    def seen(_move, _documents, _tokens, _systems, beside):
        raise Stop({way.change for way in beside.values()})

    monkeypatch.setattr(ceiling, "score_move_beside", seen)
    move = moved(scene)
    with pytest.raises(Stop) as found:
        ceiling.ceiling_of(move, None, None, None, 100)
    assert found.value.args[0] == {*CHANGES}
    assert move.fitting.changes == ("begins-with",)


@pytest.mark.parametrize("pair_on", ["donor", None])
def test_what_memory_does_not_hold_is_refused_before_anything_is_written_or_trained(
    scene, monkeypatch, pair_on
):
    work, corpus, _ = scene
    config = transplant.MoveConfig(excerpts=20, donor_words=(0.0,))
    move = work.move("tales@tiny-gpt2", to="tiny-llama", pair_on=pair_on or corpus, config=config,
                     domain_data=corpus)  # fmt: skip
    monkeypatch.setattr(memory, "available_bytes", lambda: 50_000)
    with pytest.raises(MemoryLimitError, match="`columns`"):
        move.evidence(native="train")
    assert "write" not in move.seconds
    assert not list(work.library.entries("module", "tiny-llama"))
