"""What a fine-tune learned, moved by name: donors that are pairs, and those that are none."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from tests.calibration.tiny_training import windows_of
from tests.tiny import tiny_model
from tests.workflows.export.hosted_things import Shelf
from tests.workflows.tuned_moves import Scene
from transplant.calibration.students.recipe import LoraRecipe
from transplant.errors import ExistsError, InputError, NotFoundError
from transplant.evaluation.likelihood import score_documents
from transplant.progress import SilentReporter
from transplant.surgery.lora.hosted import LoraModel
from transplant.text.splits import split_documents
from transplant.text.tokenizers import train_tokenizer
from transplant.workflows.tuned.controls import other_domains


@pytest.fixture(scope="module")
def scene(tmp_path_factory, tiny_texts, tiny_corpus):
    return Scene(tmp_path_factory.mktemp("tuned"), tiny_texts, tiny_corpus)


def test_students_of_every_kind_of_another_domain_stand_beside(scene):
    """Not a module that was trained on the target itself: it is no student."""
    shelf, target = Shelf.__new__(Shelf), scene.work.backbone("tiny-llama")
    shelf.work, library = scene.work, scene.work.library
    names = [shelf.adapter(target, "of-lora"), shelf.inside(target, "of-basis"),
             shelf.module(target, "of-training"), "of-module@tiny-llama"]  # fmt: skip
    module = scene.work.load("of-training@tiny-llama").correction
    library.store_hosted(
        "of-module", module.module.state_dict(), module.interface.state_dict(), backbone=target,
        domain="tales", d_abi=module.interface.d_abi, taps=module.taps, results={}, parents={},
        made={"student": "module-new"},
    )  # fmt: skip
    move = scene.move(scene.lora, name="beside")
    assert other_domains(move) == {}
    move.domain = "sagas"
    found = other_domains(move)
    assert found.keys() == {f"other_domain_of-{kind}" for kind in ("lora", "basis", "module")}
    windows = windows_of(move.target, split_documents(scene.documents).eval)[:2]
    scores = score_documents(move.target, windows, {"raw": None, **found})
    raw = scores.pop("raw").per_token
    assert all(abs(one.per_token - raw) > 1e-3 for one in scores.values())  # each is at work
    for name in names:
        for kind in ("adapter", "basis", "module", "interface"):
            entry = library.get(kind, name.partition("@")[0], "tiny-llama", None)
            if entry is not None:
                library.remove(entry)


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
    assert move.tuned.facts["recorded_base"]["by"] == "weights"
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
    assert not move.tuned.facts["recorded_base"]["agrees"]
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


def test_a_lora_with_a_padding_token_beside_it_is_a_donor(scene):
    """As many a fine-tune adds one: its definition calls it special, and nothing else."""
    from transplant.workflows.tuned.donor import TOKENIZER

    lora = shutil.copytree(scene.lora, scene.root / "padded")
    definition = json.loads(scene.base.tokenizer.backend_tokenizer.to_str())
    pad = {"id": len(scene.base.tokenizer), "content": "[PAD]", "single_word": False,
           "lstrip": False, "rstrip": False, "normalized": False}  # fmt: skip
    for special in (True, False):
        added = [*definition["added_tokens"], {**pad, "special": special}]
        (lora / TOKENIZER).write_text(json.dumps(definition | {"added_tokens": added}))
        if special:
            assert scene.move(lora).donor.pair.one_head
            continue
        with pytest.raises(InputError, match="another tokenizer"):
            scene.move(lora).donor  # noqa: B018


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


def test_a_lora_of_a_hub_that_is_a_pickle_alone_is_told_apart_from_none(scene, monkeypatch):
    import huggingface_hub

    fetched = scene.root / "without"
    fetched.mkdir()
    shutil.copy(scene.lora / "adapter_config.json", fetched)  # the pickle is not asked for
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(fetched))
    with pytest.raises(NotFoundError, match="no weights") as error:
        scene.move("maker/old-law").donor  # noqa: B018
    assert "adapter_model.bin is not fetched" in str(error.value.hint)


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
