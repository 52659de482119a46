"""What a fine-tune learned, moved by name: donors that are pairs, and those that are none."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest
import torch

import transplant
from registry import Registry
from tests.calibration.tiny_training import windows_of
from tests.calibration.tuned_scene import tuned_copy
from tests.tiny import tiny_model
from tests.tiny_lora import train_lora
from tests.tiny_registry import put_backbones, put_corpus
from transplant.backbones.views import view_of
from transplant.calibration.move import align
from transplant.calibration.students import module_new, table
from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.tuning import choose
from transplant.errors import ExistsError, InputError
from transplant.evaluation.likelihood import score_documents
from transplant.progress import SilentReporter
from transplant.surgery.lora.hosted import LoraModel
from transplant.tables.tuned import tuned_table
from transplant.text.splits import split_documents
from transplant.text.tokenizers import train_tokenizer
from transplant.workflows.tuned.controls import other_domains

RECIPE = {"steps": 30, "window": 64, "batch": 2, "train_tokens": 6000, "d_abi": 16}
CONFIG = transplant.MoveConfig(excerpts=40, donor_words=(0.0,), likely_tokens=64)


class Scene:
    """A registry with a native `tales` on tiny-llama, and a LoRA of tiny-gpt2 on tales."""

    def __init__(self, root, tiny_texts, tiny_corpus):
        self.root, self.documents = root, tiny_corpus
        put_backbones(root / "registry", tiny_texts)
        self.corpus = put_corpus(root / "tales", tiny_texts)
        self.work = self.workspace()
        self.work.train("tiny-llama", "tales", data=self.corpus,
                        config=transplant.TrainConfig(**RECIPE))  # fmt: skip
        self.base = self.work.backbone("tiny-gpt2")
        self.windows = windows_of(self.base, split_documents(tiny_corpus).train)
        self.lora = self.train(base=str(root / "registry" / "tiny-gpt2"))

    def workspace(self, **options):
        return transplant.Workspace(library=Registry.open(self.root / "registry"), **options)

    def train(self, name="lora", *, base, steps=60):
        return train_lora(self.base, self.windows, self.root / name, base=base, steps=steps)

    def move(self, tuned, donor="tiny-gpt2", work=None, **options):
        return (work or self.work).move_tuned(
            donor, str(tuned), "tiny-llama", domain="tales", domain_data=self.corpus,
            pair_on=self.corpus, config=CONFIG, **options,
        )  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory, tiny_texts, tiny_corpus):
    return Scene(tmp_path_factory.mktemp("tuned"), tiny_texts, tiny_corpus)


class Told(SilentReporter):
    """A reporter that keeps what it was warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str, /) -> None:
        self.warnings.append(text)


def test_a_lora_moves_across_tokenizers_and_its_controls_do_not(scene):
    move = scene.move(scene.lora)
    found = move.evidence(eval_tokens=2000)
    report = found.report
    assert move.tuned.facts["base"]["by"] == "weights"
    assert report["kind"] == "lora"
    assert report["student"] == "linear"
    assert {"raw", "native", "candidate", "shuffled_pairs", "equal_norm"} == found.ppl.keys()
    assert found.ppl["candidate"] < 0.8 * found.ppl["raw"]
    assert found.ppl["candidate"] < min(found.ppl["equal_norm"], found.ppl["shuffled_pairs"])
    best = report["recovered"].get(report["best_donor_free"], 0.0)
    expected = report["recovered"]["candidate"] - best
    assert found.donor_attributable == pytest.approx(expected)
    assert found.donor_attributable > 0
    assert report["module_attributable"] is None
    json.dumps(report, allow_nan=False)


def test_a_taught_lora_is_an_adapter_that_is_found_by_name_and_is_what_was_judged(scene):
    recipe = LoraRecipe(rank=4, alpha=8, steps=20, evaluate_every=10, rates=(1e-2,))
    move = scene.move(scene.lora, student="lora", lora=recipe, name="taught")
    report = move.transfer(eval_tokens=1000)
    assert report["stored"]["kind"] == "adapter"
    ppl = report["ppl"]
    assert ppl["candidate"] < min(ppl["shuffled_lora"], ppl["untrained_lora"], ppl["raw"])
    hosted = scene.work.load("taught@tiny-llama")
    windows = windows_of(hosted.backbone, split_documents(scene.documents).eval)[:4]
    update = move.learned.correction
    models = [hosted, LoraModel("lora", hosted.backbone, update)]
    scores = [score_documents(hosted.backbone, windows, {"it": one})["it"] for one in models]
    assert scores[0].per_token == pytest.approx(scores[1].per_token, abs=1e-6)
    made = scene.work.find("taught@tiny-llama").manifest.made
    assert made["learned"]["rank"] == 4
    assert made["scales"].keys() == update.pairs.keys()
    with pytest.raises(ExistsError):
        scene.move(scene.lora, student="linear", name="taught").claim(replace=True)
    scene.work.library.remove(scene.work.find("taught@tiny-llama"))


def test_a_student_of_another_domain_stands_beside(scene):
    move = scene.move(scene.lora, name="theirs")
    move.domain = "sagas"
    move.store()
    beside = scene.move(scene.lora, name="ours")
    assert other_domains(beside).keys() == {"other_domain_theirs"}
    beside.domain = "sagas"
    assert other_domains(beside) == {}


def test_another_base_is_refused_by_its_weights_unless_it_is_meant(scene):
    other = scene.train("elsewhere", base=str(scene.root / "registry" / "tiny-llama"), steps=1)
    with pytest.raises(InputError, match="trained on .*tiny-llama") as refused:
        scene.move(other).donor  # noqa: B018
    assert refused.value.found == f"weights {scene.base.weights_sha256[:12]}"
    told = Told()
    move = scene.move(other, work=scene.workspace(reporter=told), other_base=True)
    assert move.donor.pair.one_head
    assert not move.tuned.facts["base"]["agrees"]
    assert any("tiny-llama" in text for text in told.warnings)


@pytest.mark.parametrize(
    ("recorded", "agrees"), [("maker/tiny-gpt2", True), ("maker/gpt-9", False), (None, True)]
)
def test_a_base_that_is_not_at_hand_is_compared_by_name_and_that_is_said(scene, recorded, agrees):
    lora, told = scene.train("named", base=recorded, steps=1), Told()
    move = scene.move(lora, work=scene.workspace(reporter=told))
    if not agrees:
        with pytest.raises(InputError, match="gpt-9"):
            move.donor  # noqa: B018
        return
    assert move.donor.pair.one_head
    assert any("not compared" in text or "does not say" in text for text in told.warnings)


def test_what_changes_nothing_is_refused(scene):
    nothing = scene.train("nothing", base="tiny-gpt2", steps=0)
    for tuned in (nothing, "tiny-gpt2"):
        with pytest.raises(InputError, match="no change to move"):
            scene.move(tuned).donor  # noqa: B018


def test_another_tokenizer_is_refused_by_name(scene, tiny_texts):
    """Of the same size, so that nothing but the bytes of its tokens tells it apart."""
    size = len(scene.base.tokenizer)
    other = train_tokenizer("bpe", [text[::-1] for text in tiny_texts], size, context=128)
    folder = scene.root / "other"
    tiny_model("gpt2", other).save_pretrained(folder)
    other.save_pretrained(folder)
    with pytest.raises(InputError, match="another tokenizer than tiny-gpt2"):
        scene.move(folder).donor  # noqa: B018


def test_a_model_of_another_shape_is_no_tuned_copy(scene):
    folder = scene.root / "wide"
    tiny_model("gpt2", scene.base.tokenizer, n_embd=48).save_pretrained(folder)
    scene.base.tokenizer.save_pretrained(folder)
    with pytest.raises(InputError, match="no tuned copy"):
        scene.move(folder).donor  # noqa: B018


@torch.no_grad()
def test_a_merged_model_is_the_same_donor_as_its_lora(scene):
    """Its head is another one only where the adapter changes it."""
    from transplant.surgery.lora.folder import read_lora
    from transplant.surgery.lora.match import match_lora
    from transplant.surgery.lora.merge import merged

    made = merged("merged", scene.base, match_lora(read_lora(scene.lora), scene.base))
    folder = scene.root / "merged"
    made.model.save_pretrained(folder)
    scene.base.tokenizer.save_pretrained(folder)
    pairs = [scene.move(tuned).donor.pair for tuned in (scene.lora, folder)]
    assert [pair.one_head for pair in pairs] == [True, True]
    tap = pairs[0].change_tap
    ours, theirs = (pair.read(scene.windows[:2], [tap]).taps[tap] for pair in pairs)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_lora_of_a_hub_is_fetched_by_its_files_alone(scene, monkeypatch):
    import huggingface_hub

    asked = []

    def stand_in(hub_id, **options):
        assert "tqdm_class" in options  # its download is followed
        asked.append((hub_id, options.get("allow_patterns")))
        return str(scene.lora)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", stand_in)
    assert scene.move("maker/law").donor.pair.one_head
    assert asked[0][0] == "maker/law"
    assert not any(pattern.endswith((".bin", "*")) for pattern in asked[0][1])


def test_what_is_hosted_on_the_base_is_a_tuned_copy_and_on_another_is_none(scene):
    with pytest.raises(InputError, match="belongs to another backbone"):
        scene.move("tales@tiny-llama").donor  # noqa: B018
    move = scene.move("tales@tiny-llama", donor="tiny-llama")
    assert move.tuned.kind == "hosted"
    hosted, pair = scene.work.load("tales@tiny-llama"), move.donor.pair
    windows = windows_of(hosted.backbone, split_documents(scene.documents).eval)[:2]
    states = pair.read(windows, [pair.change_tap])
    taps = hosted.backbone.read(windows, hosted.correction.taps).taps
    torch.testing.assert_close(
        states.taps[pair.change_tap], hosted.correction(taps), rtol=1e-3, atol=1e-4
    )


def test_an_unknown_student_is_refused_before_anything_is_loaded(scene):
    with pytest.raises(InputError, match="student"):
        scene.move("nowhere", student="wise")


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
        other.learned  # noqa: B018
