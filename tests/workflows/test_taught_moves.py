"""Several modules of the library as one teacher, by name: of two tokenizers, and on their text."""

from __future__ import annotations

import pytest
import torch

import transplant
from tests.tiny_registry import tiny_workspace
from transplant.errors import InputError

RECIPE = transplant.TrainConfig(steps=30, window=64, batch=2, train_tokens=6000, d_abi=16)
NAMES = ("tales@tiny-gpt2", "tales@tiny-t5")


@pytest.fixture(scope="module")
def scene(tmp_path_factory, tiny_texts):
    """A registry with a `tales` on each backbone, and the corpus."""
    root = tmp_path_factory.mktemp("taught")
    return tiny_workspace(root, tiny_texts, ("tiny-gpt2", "tiny-t5", "tiny-llama"), RECIPE)


def taught(scene, *, pair_on=None, names=NAMES, **options):
    work, corpus = scene
    config = transplant.MoveConfig(
        excerpts=40, donor_words=(0.0,), likely_tokens=64, keep=options.pop("keep", 1.0)
    )
    return work.move_taught(
        names, "tiny-llama", domain="tales", pair_on=pair_on or corpus, domain_data=corpus,
        config=config, **options,
    )  # fmt: skip


def test_a_student_of_two_teachers_is_judged_and_stored(scene):
    report = taught(scene, name="both").transfer(eval_tokens=2000)
    assert report["ppl"]["candidate"] < report["ppl"]["raw"]
    assert {"shuffled_pairs", "equal_norm"} <= report["ppl"].keys()
    assert report["made"]["donor"]["teachers"] == [*NAMES]
    assert (report["name"], report["stored"]["kind"]) == ("both@tiny-llama", "linear")
    hosted = transplant.load("both@tiny-llama", library=scene[0].library)
    with torch.no_grad():
        assert hosted(input_ids=torch.arange(9)[None]).logits.isfinite().all()


def test_teachers_write_an_equal_part_each_and_the_best_of_it_is_kept(scene):
    move = taught(scene, pair_on="donor", keep=0.5, text_free=True)
    text = move.writing.text
    sources = [one.source for side in (text.train, text.calibration, text.eval) for one in side]
    shares = {name: sources.count(f"written by {name}") for name in NAMES}
    assert [*shares.values()] == [len(sources) / 2] * 2
    facts = move.writing.facts()
    assert facts["written"] == 2 * facts["kept"] == 2 * len(sources)
    assert facts["donor_gain"] > facts["donor_gain_of_all"]
    assert move.linear.calibrated.loss > 0
    assert "domain_text" not in move.__dict__  # nothing of it was read


@pytest.mark.parametrize(
    "names", [NAMES[:1], (NAMES[0], NAMES[0]), (NAMES[0], "tiny-t5"), ()]
)  # fmt: skip
def test_fewer_than_two_different_modules_are_refused(scene, names):
    with pytest.raises(InputError, match="teachers"):
        taught(scene, names=names)


def test_two_teachers_have_no_side_by_side(scene):
    with pytest.raises(InputError, match="ceiling"):
        taught(scene).evidence(ceiling=True)
