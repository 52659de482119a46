"""Students that `auto` tries of a module and of a full fine-tune, as they are."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

import transplant
from tests.calibration.tiny_training import windows_of
from tests.calibration.tuned_scene import tuned_copy
from tests.workflows.tuned_moves import CONFIG, RECIPE, Scene
from transplant.backbones.views import view_of
from transplant.calibration.move import align
from transplant.calibration.students import module_new, table
from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.tuning import choose
from transplant.errors import ExistsError, InputError
from transplant.tables.tuned import tuned_table
from transplant.text.splits import split_documents


@pytest.fixture(scope="module")
def scene(tmp_path_factory, tiny_texts, tiny_corpus):
    return Scene(tmp_path_factory.mktemp("tuned"), tiny_texts, tiny_corpus)


def worse(fit):
    """A student that is found, and has a larger loss than all others."""

    def found(*args):
        return dataclasses.replace(fit(*args), loss=100.0)

    return found


def test_of_a_donor_that_is_a_module_auto_tries_the_module_as_it_is(scene, monkeypatch):
    """Its fit is that of a module's move, its bytes are the donor's, and its controls stand by."""
    quick = dataclasses.replace(module_new.LEARN, steps=2, evaluate_every=2)
    monkeypatch.setattr(module_new, "LEARN", quick)
    config = transplant.TrainConfig(**RECIPE)
    name, work = "tales@tiny-gpt2", scene.work
    work.train("tiny-gpt2", "tales", data=scene.corpus, config=config)
    for one in ("linear", "module-new"):
        monkeypatch.setitem(table.FITS, one, worse(table.FITS[one]))
    move = scene.move(name, student="auto", name="as-it-is")
    assert move.module_widths == (128, 16)
    report = move.transfer(eval_tokens=1000)
    tried = {one["student"]: one for one in report["students"]}
    assert tried.keys() == {"linear", "module-new", "module"}
    assert all(one["seconds"] > 0 for one in tried.values())
    reading = align(move.pairing, move.fitting).interface
    moved = choose(move.pairing, reading, move.output_map, move.calibration_text, move.fitting)
    assert tried["module"]["loss"] == pytest.approx(moved.calibrated.loss, abs=1e-5)
    assert tried["module"]["gain"] == moved.calibrated.gain > 0
    assert (report["student"], report["stored"]["kind"]) == ("module", "module")
    own = work.find(name).manifest.sha256
    assert report["stored"]["sha256"] == report["tuned_sha256"] == own
    assert {"random_module", "random_refitted", "linear_surrogate"} < report["ppl"].keys()
    assert report["best_module_free"] in ("random_refitted", "linear_surrogate")
    assert report["best_donor_free"] not in ("random_refitted", "linear_surrogate")
    assert report["module_attributable"] is not None
    assert "module-attributable" in tuned_table(report).to_markdown()
    assert work.load("as-it-is@tiny-llama").correction.module.d_abi == 16
    with pytest.raises(ExistsError):
        scene.move(name, student="auto", name="as-it-is").claim()
    for made in ("as-it-is@tiny-llama", name):
        work.library.remove(work.find(made))


def test_of_a_lora_auto_does_not_try_a_module(scene, monkeypatch):
    move = scene.move(scene.lora, student="auto", name="none")
    for one in ("module-new", "lora"):
        monkeypatch.setitem(table.FITS, one, table.FITS["linear"])
    assert "module" not in {one.student for one in move.learned.tried}
    with pytest.raises(InputError, match="needs a donor that is a module"):
        table.FITS["module"](move.lesson, move.linear, None)


def test_a_full_fine_tune_goes_on_to_a_new_version_of_its_base(scene):
    """Its change of weights stands beside as it is, cut to pairs it is a student."""
    text = split_documents(scene.documents).train
    made = tuned_copy(scene.base, windows_of(scene.base, text), head=False)
    made.model.save_pretrained(scene.root / "tuned-whole")
    for name in ("tuned-whole", "new-version"):
        scene.base.tokenizer.save_pretrained(scene.root / name)
    noise = view_of("x", copy.deepcopy(scene.base.model), scene.base.tokenizer)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in noise.model.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=draw)
    noise.model.save_pretrained(scene.root / "new-version")
    recipe = LoraRecipe(rank=8)
    move = scene.work.move_tuned(
        "tiny-gpt2", str(scene.root / "tuned-whole"), str(scene.root / "new-version"),
        domain="tales", domain_data=scene.corpus, pair_on=scene.corpus, config=CONFIG,
        student="copy", lora=recipe, name="whole-copy",
    )  # fmt: skip
    found = move.evidence(native="none", eval_tokens=1000)
    assert move.learned.gain > 0
    assert all(pair.a.shape[0] == 8 for pair in move.learned.correction.pairs.values())
    ppl = found.ppl
    assert ppl["direct_copy"] < ppl["raw"]
    assert ppl["candidate"] < min(ppl["raw"], ppl["untrained_lora"])
    other = scene.move(scene.root / "tuned-whole", student="copy")
    with pytest.raises(InputError, match="same maps"):
        other.check()
    assert "pairing" not in other.__dict__  # before anything is read
    with pytest.raises(InputError, match="same maps"):
        other.learned  # noqa: B018
