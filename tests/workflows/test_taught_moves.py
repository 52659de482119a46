"""Several modules of the library as one teacher, by name: of two tokenizers, and on their text."""

from __future__ import annotations

import pytest
import torch

import transplant
from tests.calibration.tiny_training import windows_of
from tests.calibration.tuned_scene import tuned_copy
from tests.tiny_lora import train_lora
from tests.tiny_registry import tiny_workspace
from transplant.errors import InputError, NotFoundError
from transplant.tables.tuned import tuned_table
from transplant.text.splits import split_documents

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


@pytest.fixture(scope="module")
def folders(scene, tmp_path_factory, tiny_corpus):
    """A LoRA of tiny-gpt2 as PEFT saves it, and tiny-llama tuned as a whole, its head as well."""
    work, root = scene[0], tmp_path_factory.mktemp("copies")
    text = split_documents(tiny_corpus).train
    base = work.backbone("tiny-gpt2")
    lora = train_lora(base, windows_of(base, text), root / "lora", base="tiny-gpt2", steps=30)
    whole = work.backbone("tiny-llama")
    tuned = tuned_copy(whole, windows_of(whole, text), head=True)
    tuned.model.save_pretrained(root / "whole")
    whole.tokenizer.save_pretrained(root / "whole")
    base.tokenizer.save_pretrained(root / "stranger")
    tuned.model.save_pretrained(root / "stranger")
    return root, f"{lora}@tiny-gpt2", f"{root / 'whole'}@tiny-llama"


def test_tuned_folders_are_teachers_as_well_with_heads_of_their_own_or_not(scene, folders):
    _, *names = folders
    move = taught(scene, names=(*names, NAMES[1]), name="folders")
    report = move.transfer(eval_tokens=2000)
    assert [one.pair.one_head for one in move.donor.teachers] == [True, False, True]
    ppl = report["ppl"]
    assert ppl["candidate"] < min(ppl["raw"], ppl["shuffled_pairs"], ppl["equal_norm"])
    donor = report["made"]["donor"]
    assert [one["kind"] for one in donor["tuned_copies"]] == ["lora", "model", "hosted"]
    assert donor["tuned_copies"][0]["recorded_base"]["agrees"]
    parents = scene[0].find("folders@tiny-llama").manifest.parents
    assert {f"tuned_{number}" for number in range(3)} < parents.keys()


def test_each_teacher_is_checked_as_one_donor_is(scene, folders):
    root, lora, _ = folders
    path = lora.rpartition("@")[0]
    wrong = {
        f"{path}@tiny-llama": "another base", f"{root / 'stranger'}@tiny-llama": "tokenizer",
        "tiny-gpt2@tiny-gpt2": "no change to move", "tales@tiny-t5": None,
    }  # fmt: skip
    for name, said in wrong.items():
        move = taught(scene, names=(NAMES[0], name))
        if said is None:
            assert len(move.donor.teachers) == 2
            continue
        with pytest.raises(InputError, match=said):
            move.donor  # noqa: B018
    assert len(taught(scene, names=(NAMES[0], f"{path}@tiny-llama")).teachers) == 2


@pytest.mark.parametrize(
    ("name", "error"),
    [("./nowhere@tiny-gpt2", InputError), ("@tiny-gpt2", InputError), ("tales@", InputError),
     ("sagas@tiny-gpt2", NotFoundError)],
)  # fmt: skip
def test_a_teacher_that_is_not_there_is_refused_before_anything_is_loaded(scene, name, error):
    with pytest.raises(error, match=name.rpartition("@")[0] or "teachers"):
        taught(scene, names=(NAMES[0], name))


@pytest.mark.parametrize(
    "names", [NAMES[:1], (NAMES[0], NAMES[0]), (NAMES[0], "tiny-t5"), ()]
)  # fmt: skip
def test_fewer_than_two_different_modules_are_refused(scene, names):
    with pytest.raises(InputError, match="teachers"):
        taught(scene, names=names)


def test_the_ceiling_of_two_teachers_is_both_side_by_side_with_the_target(scene):
    """Beside it stands the student itself, on the same text."""
    report = taught(scene).evidence(ceiling=True, eval_tokens=1500).report
    found, raw = report["ceiling"], report["ppl"]["raw"]
    assert {"change", "change_and_raw", "candidate", "of"} < found.keys()
    assert found["change"]["ppl"] < 0.9 * raw
    assert 0 < found["paired_share"] < 1
    reached, best = found["candidate"]["recovered"], found[found["of"]]["recovered"]
    assert found["vocabulary_loses"] == pytest.approx(1 - best)
    assert found["alignment_loses"] == pytest.approx(best - reached)
    text = " ".join(tuned_table(report).to_markdown().split())
    assert text.count("all 3 models side by side: the mean change of all donors") == 2
    assert "of the tokens are predicted by all" in text
