"""`abi transfer --donor --tuned`: what a LoRA learned becomes an artifact of another backbone."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
import torch

import transplant
from registry.store import Registry
from tests.calibration.tiny_training import windows_of
from tests.commands.test_bad_input import assert_refused
from tests.commands.tuned_runs import tuned_registry
from tests.tiny_lora import train_lora
from transplant.calibration.students import module_new
from transplant.errors import CorruptError, ShapeError
from transplant.tables.tuned import tuned_table
from transplant.text.splits import split_documents

IDS = torch.arange(20)[None]


@pytest.fixture(scope="module")
def tuned_abi(tmp_path_factory, tiny_texts, tiny_corpus, corpus):
    """A registry of this file's own, and the words that move a LoRA to tiny-llama."""
    return tuned_registry(tmp_path_factory, tiny_texts, tiny_corpus, corpus)


def test_a_linear_student_is_stored_hosted_verified_and_gone_again(tuned_abi):
    abi, words = tuned_abi
    ran = abi(*words, "--name", "law", "--student", "linear", "--ceiling")
    assert ran.code == 0, ran.err
    report = ran.json
    assert report["ceiling"]["change"]["ppl"] < 0.9 * report["ppl"]["raw"]
    assert (report["name"], report["stored"]["kind"]) == ("law@tiny-llama", "linear")
    assert report["ppl"]["candidate"] < 0.9 * report["ppl"]["raw"]
    library = Registry.open(abi.root)
    raw = transplant.load("tiny-llama", library=library)
    hosted = transplant.load("law@tiny-llama", library=library)
    with torch.no_grad():
        again = transplant.load("law@tiny-llama", library=library)(input_ids=IDS).logits
        assert torch.equal(hosted(input_ids=IDS).logits, again)
        assert not torch.allclose(raw(input_ids=IDS).logits, again, atol=1e-2)
    assert hosted.generate(IDS, max_new_tokens=3).shape[1] == IDS.shape[1] + 3
    shown = abi("show", "law@tiny-llama", "--verify", "--json").json
    assert shown["results"]["ppl"] == report["ppl"]
    assert shown["parents"]["tuned"] == report["tuned_sha256"]
    assert "law" in {row["name"] for row in abi.rows("--kind", "linear")}
    nib = abi("nib", "--anchor", "tiny-llama", "--candidate", "law@tiny-llama", "--data",
              abi.corpus, "--chunk-length", "40", "--skip", "4", "--json")  # fmt: skip
    assert nib.json["js"] > 1e-4
    assert abi(*words, "--name", "law", "--student", "linear").code == 1  # taken
    assert abi("rm", "law@tiny-llama", "--yes").code == 0
    assert abi.rows("--kind", "linear") == []


def test_the_domain_is_that_of_the_name_and_the_ceiling_has_a_name_of_its_own(tuned_abi):
    abi, words = tuned_abi
    at = words.index("--domain")
    short = (*words[:at], *words[at + 2 :], "--student", "linear", "--name")
    ran = abi(*short, "statute")
    assert ran.code == 0, ran.err
    assert ran.json["name"] == "statute@tiny-llama"
    assert ran.json["native_model"]["name"] == "statute-native@tiny-llama"
    shown = abi("show", "statute@tiny-llama", "--json").json
    assert shown["domain"] == "statute"
    taken = abi(*short, "other", "--native", "other")
    assert "would name both" in taken.json["what"]
    for name in ("statute", "statute-native"):
        assert abi("rm", f"{name}@tiny-llama", "--yes").code == 0


def test_a_map_of_other_weights_or_layers_is_refused(tuned_abi):
    abi, words = tuned_abi
    ran = abi(*words, "--name", "bent", "--student", "linear", "--taps", "1,2")
    assert ran.code == 0, ran.err
    library = Registry.open(abi.root)
    entry = library.find("linear", "bent", "tiny-llama")
    assert entry.manifest.taps == (1, 2)
    tensors, made = library.read(entry), entry.manifest.made
    backbone = transplant.load("tiny-llama", library=library).backbone
    library.remove(entry)
    library.store("linear", "bent", tensors, backbone=backbone, taps=(1, 9), made=made)
    with pytest.raises(CorruptError, match="taps of bent"):
        transplant.load("bent@tiny-llama", library=library)
    library.remove(library.find("linear", "bent", "tiny-llama"))
    less = {k: v for k, v in tensors.items() if k != "proj_out.weight"}
    library.store("linear", "bent", less, backbone=backbone, taps=(1, 2), made=made)
    with pytest.raises(ShapeError, match=r"proj_out\.weight"):
        transplant.load("bent@tiny-llama", library=library)
    library.remove(library.find("linear", "bent", "tiny-llama"))


def test_a_new_module_is_a_module_of_the_target_and_auto_keeps_one_of_the_students(
    tuned_abi, monkeypatch
):
    abi, words = tuned_abi
    quick = dataclasses.replace(module_new.LEARN, steps=4, evaluate_every=2)
    monkeypatch.setattr(module_new, "LEARN", quick)
    ran = abi(*words, "--name", "new", "--student", "module-new")
    assert ran.code == 0, ran.err
    assert (ran.json["student"], ran.json["stored"]["kind"]) == ("module-new", "module")
    own = {"shuffled_module", "untaught_module"}
    assert own <= ran.json["ppl"].keys()
    assert ran.json["best_donor_free"] != "untaught_module"
    hosted = transplant.load("new@tiny-llama", library=Registry.open(abi.root))
    assert hosted.correction.module.d_abi == 128
    taken = abi(*words, "--name", "new")
    assert (taken.code, taken.json["error"]) == (1, "ExistsError")
    ran = abi(*words, "--name", "new", "--replace")  # auto
    assert ran.code == 0, ran.err
    tried = {one["student"]: one["loss"] for one in ran.json["students"]}
    assert tried.keys() == {"linear", "module-new"}
    assert ran.json["left_out"] == ["lora"]  # slow on a processor: asked for by name
    told = " ".join(ran.err.split())
    assert "the student lora is not tried: every step of it runs all of the target" in told
    assert "--student lora asks for it, --students names all that are to be tried" in told
    shown = " ".join(tuned_table(ran.json).to_markdown().split())
    assert "not tried: every step of it runs all of the target" in shown
    assert ran.json["student"] == min(tried, key=tried.get)
    kinds = {kind for r in abi.rows() if r["name"] == "new" for kind in (r["kind"], *r["with"])}
    kept = ran.json["stored"]["kind"]
    assert kinds == ({"module", "interface"} if kept == "module" else {kept})


def test_what_auto_tries_can_be_named(tuned_abi):
    """A LoRA on a processor, too."""
    abi, words = tuned_abi
    named = (*words, "--name", "named", "--native", "none", "--students", "lora,linear")
    ran = abi(*named, "--lora-rank", "2", "--lora-targets", "q_proj", "--lora-steps", "4")
    assert ran.code == 0, ran.err
    assert ran.json["left_out"] == []
    assert [one["student"] for one in ran.json["students"]] == ["lora", "linear"]
    assert (ran.json["made"]["student"], ran.json["made"]["students"]) == (
        "auto", ["lora", "linear"]
    )  # fmt: skip
    assert_refused(abi(*words, "--name", "none", "--students", "module"), "--students: module")


def test_the_ways_that_were_tried_are_explained(tuned_abi):
    abi, words = tuned_abi
    told = (*words[:-1], "--student", "linear", "--native", "none", "--replace", "--name", "told")
    assert "tried on the calibration split" not in abi(*told).out
    ran = abi(*told, "--explain")
    assert ran.code == 0, ran.err
    assert "tried on the calibration split" in ran.out
    assert "chosen" in ran.out


def test_a_lora_trained_on_the_target_can_be_the_ceiling(tuned_abi, tmp_path, tiny_corpus):
    abi, words = tuned_abi
    backbone = transplant.load("tiny-llama", library=Registry.open(abi.root)).backbone
    windows = windows_of(backbone, split_documents(tiny_corpus).train)
    folder = train_lora(backbone, windows, tmp_path / "again", base="tiny-llama")
    assert abi("adapters", "--import", str(folder), "--to", "tiny-llama", "--json").code == 0
    short = (*words, "--student", "linear", "--name", "share", "--replace")
    ran = abi(*short, "--native", "again@tiny-llama")
    assert ran.code == 0, ran.err
    report = ran.json
    assert report["native_model"] == {"name": "again@tiny-llama", "kind": "adapter"}
    assert report["ppl"]["native"] < report["ppl"]["raw"]
    assert "the LoRA again@tiny-llama: the ceiling" in tuned_table(report).to_markdown()
    module = {**report, "native_model": {"name": "tales@tiny-llama", "kind": "module"}}
    assert "a module trained on the target" in tuned_table(module).to_markdown()
    for wrong, said in (("again@tiny-gpt2", "tiny-llama"), ("nothing", "nothing@tiny-llama")):
        assert_refused(abi(*short, "--native", wrong), said)
    with_ceiling = abi(*short, "--native", "again", "--ceiling")
    assert with_ceiling.code == 0, with_ceiling.err
    found = with_ceiling.json["ceiling"]
    assert found["change"]["ppl"] < 0.9 * report["ppl"]["raw"]
    best, lost = found[found["of"]]["recovered"], found["vocabulary_loses"]
    assert lost == pytest.approx(1 - best)
    assert found["alignment_loses"] == pytest.approx(best - found["candidate"]["recovered"])
    assert_refused(abi(*short, "--native", "none", "--ceiling"), "--native")
    library = Registry.open(abi.root)
    entry = library.find("adapter", "again", "tiny-llama")
    made = {**entry.manifest.made, "student": "lora"}
    library.store("adapter", "was", library.read(entry), backbone=backbone, made=made)
    assert_refused(abi(*short, "--native", "was"), "moved there")
    for name in ("again", "was", "share"):
        assert abi("rm", f"{name}@tiny-llama", "--yes").code == 0


def test_a_lora_student_is_an_adapter_of_the_shape_that_was_asked_for(tuned_abi):
    abi, words = tuned_abi
    shape = ("--lora-rank", "3", "--lora-alpha", "6", "--lora-targets", "q_proj, v_proj")
    ran = abi(*words, "--name", "taught", "--student", "lora", "--lora-steps", "4", *shape)
    assert ran.code == 0, ran.err
    assert (ran.json["student"], ran.json["stored"]["kind"]) == ("lora", "adapter")
    assert {"shuffled_lora", "untrained_lora"} <= ran.json["ppl"].keys()
    update = transplant.load("taught@tiny-llama", library=Registry.open(abi.root)).update
    assert {name.rpartition(".")[2] for name in update.pairs} == {"q_proj", "v_proj"}
    assert all(len(pair.a) == 3 for pair in update.pairs.values())
    assert abi("show", "taught@tiny-llama", "--verify", "--json").code == 0
    assert abi("rm", "taught@tiny-llama", "--yes").code == 0
    wrong = abi(*words, "--name", "w", "--student", "lora", "--lora-targets", "nowhere")
    assert (wrong.code, "nowhere" in wrong.json["found"]) == (1, True)


def test_a_lora_moves_by_what_it_writes_though_nobody_has_counted_its_domain(tuned_abi):
    """A folder of PEFT's tells nothing of the text that it was trained on."""
    abi, words = tuned_abi
    free = [*words[: words.index("--data")], "--pair-data", "donor", "--text-free",
            "--excerpts", "20", "--excerpt-chars", "120", "--eval-tokens", "2000",
            "--json"]  # fmt: skip
    ran = abi(*free, "--name", "written", "--student", "linear")
    assert ran.code == 0, ran.err
    report = ran.json
    assert report["made"]["pairing_text"]["text_free"] is True
    ppl = report["ppl"]
    assert ppl["candidate"] < min(ppl["raw"], ppl["shuffled_pairs"])


def test_where_shapes_allow_it_the_lora_as_it_is_stands_beside_the_move(tuned_abi):
    """On the base itself the copy is the LoRA: nothing of the donor's can be better there."""
    abi, words = tuned_abi
    same = [*words]
    same[same.index("--to") + 1] = "tiny-gpt2"
    ran = abi(*same, "--name", "same", "--student", "linear", "--native", "none")
    assert ran.code == 0, ran.err
    ppl = ran.json["ppl"]
    assert ppl["direct_copy"] < ppl["candidate"] < ppl["raw"]
    other = abi(*words, "--name", "other", "--student", "linear", "--native", "none")
    assert "direct_copy" not in other.json["ppl"]  # other maps: nothing to copy to


def test_the_lora_as_it_is_goes_on_to_a_new_version_and_is_taught_on_from_there(tuned_abi):
    """On the base itself nothing is lost, and `auto` finds that."""
    abi, words = tuned_abi
    same = [*words]
    same[same.index("--to") + 1] = "tiny-gpt2"
    ran = abi(*same, "--name", "kept", "--native", "none")
    assert ran.code == 0, ran.err
    report = ran.json
    assert report["student"] == "copy"
    assert report["stored"]["kind"] == "adapter"
    if report["gain"] == 1:
        assert report["ppl"]["candidate"] == pytest.approx(report["ppl"]["direct_copy"], rel=1e-5)
    assert "untrained_lora" in report["ppl"]
    assert "shuffled_lora" not in report["ppl"]  # nothing was taught
    more = abi(
        *same, "--name", "more", "--native", "none", "--student", "lora", "--lora-steps", "4"
    )
    assert more.code == 0, more.err
    learned = abi("show", "more@tiny-gpt2", "--json").json["made"]["learned"]
    assert learned["start"] == "the donor's own"
    assert more.json["ppl"]["candidate"] <= 1.02 * report["ppl"]["candidate"]


def test_a_copy_to_other_maps_is_refused_and_auto_does_not_try_it(tuned_abi):
    abi, words = tuned_abi
    ran = abi(*words, "--name", "no", "--student", "copy", "--native", "none")
    assert_refused(ran, "same maps")
    assert "copy" not in {one["student"] for one in _students(abi, words)}


def _students(abi, words):
    return abi(*words, "--name", "every", "--native", "none").json["students"]


def test_a_lora_of_another_base_is_taken_where_it_is_meant(tuned_abi, tmp_path):
    abi, words = tuned_abi
    own = shutil.copytree(words[words.index("--tuned") + 1], tmp_path / "own")
    config = json.loads((own / "adapter_config.json").read_text())
    base = str(abi.root / "tiny-llama")
    (own / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": base}))
    words = [str(own) if one == words[words.index("--tuned") + 1] else one for one in words]
    words = [*words, "--student", "linear", "--native", "none", "--name", "elsewhere"]
    assert_refused(abi(*words), "--other-base", base)
    ran = abi(*words, "--other-base")
    assert ran.code == 0, ran.err
    assert ran.json["made"]["donor"]["recorded_base"]["agrees"] is False
    assert ran.json["made"]["donor"]["base"] == "tiny-gpt2"
    assert abi("rm", "elsewhere@tiny-llama", "--yes").code == 0
