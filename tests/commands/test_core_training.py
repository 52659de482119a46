"""`abi train-core`, and `abi train --form` and `abi transfer` on cores, from text to registry."""

from __future__ import annotations

import dataclasses
import io
import shutil
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import transplant
from commands.evidence import transfer_table
from commands.output import ProgressLine
from registry.store import Registry
from tests.commands.conftest import Abi
from transplant.backbones.fingerprint import hash_tensors
from transplant.backbones.layercake.baseline import TOLERANCE
from transplant.backbones.layercake.sizes import SIZES, count_parameters
from transplant.backbones.load import load_backbone
from transplant.modules.core import CoreHosted
from transplant.training.config import TrainConfig

TRAIN = TrainConfig()

SHORT = ("--vocab", "320", "--window", "32", "--batch", "2", "--eval-tokens", "64", "--json")
MODULE = ("--steps", "8", "--window", "32", "--batch", "2", "--tokens", "2000")
MOVE = ("--module", "tales@2M-tales", "--to", "other", "--excerpts", "20", "--eval-tokens", "64")


def train_core(abi, *more, steps=3):
    words = ("train-core", "--size", "2M", "--data", abi.corpus, "--tokens", str(steps * 2 * 32))
    return abi(*words, *SHORT, *more)


def train_inside(abi, core, form, *more):
    words = ("train", "--backbone", core, "--form", form, "--domain", "tales")
    return abi(*words, *MODULE, "--data", abi.corpus, "--eval-tokens", "64", "--json", *more)


def shown(abi, name):
    return abi("show", name, "--json", "--verify").json


def tensors_of(abi, name):
    return load_file(abi.root / name / "model.safetensors")


def hosted_in(abi, name) -> Any:
    return transplant.load(name, library=Registry.open(abi.root))


def module_sha(hosted):
    return hash_tensors(hosted.correction.module.state_dict())


def files_in(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def stored(tmp_path_factory, corpus):
    """A registry with 2M, `other` of the same tokenizer, and 2M-tales; tests must not change it."""
    abi = Abi(tmp_path_factory.mktemp("cores"), corpus)
    made = {"2M": train_core(abi)}
    made["other"] = train_core(abi, "--name", "other", "--tokenizer", "2M", "--seed", "1")
    made["2M-tales"] = train_inside(abi, "2M", "lite")
    for ran in made.values():
        assert ran.code == 0, ran.err
    return abi, {name: ran.json for name, ran in made.items()}


def copy_of(stored, tmp_path):
    abi, _ = stored
    shutil.copytree(abi.root, tmp_path / "registry")
    return Abi(tmp_path / "registry", abi.corpus)


def test_train_core_stores_a_core_with_its_results(stored):
    abi, made = stored
    report, entry = made["2M"], shown(abi, "2M")
    assert entry["backbone"]["family"] == "layercake"
    assert entry["verified"]
    for key in ("parameters", "train_loss", "ppl", "train_seconds"):
        assert entry["results"][key] == report[key]
    assert report["parameters"] == count_parameters(SIZES["2M"], 320)
    assert (report["name"], report["kind"], report["tokens"]) == ("2M", "core", 3 * 2 * 32)
    assert 1 < report["ppl"] < 2 * 320
    assert entry["taps"] == [0, 1, 2, 3, 4, 5]
    made_as = entry["made"]
    assert made_as["recipe"]["data"] == abi.corpus
    assert (made_as["recipe"]["window"], made_as["recipe"]["seed"]) == (32, 0)
    assert made_as["split"] == report["split"]
    loaded = hosted_in(abi, "2M")
    assert loaded.backbone.context == 32
    assert len(loaded.tokenizer) == 320
    row = next(row for row in abi("cores", "--json").json if row["name"] == "2M")
    assert row["in_registry"]


def test_a_core_may_take_the_tokenizer_of_another(stored):
    abi, made = stored
    ours, theirs = shown(abi, "2M"), shown(abi, "other")
    assert ours["backbone"]["tokenizer_sha256"] == theirs["backbone"]["tokenizer_sha256"]
    assert ours["sha256"] != theirs["sha256"]
    assert made["other"]["parameters"] == made["2M"]["parameters"]


def test_the_baseline_is_a_plain_transformer_as_large_and_of_the_same_recipe(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    ran = train_core(abi, "--baseline", "--tokenizer", "2M")
    assert ran.code == 0, ran.err
    assert (ran.json["name"], ran.json["kind"]) == ("2M-plain", "plain")
    core, plain = shown(abi, "2M"), shown(abi, "2M-plain")
    assert plain["backbone"]["family"] == "gpt_neox"
    assert plain["taps"] == [0, 1, 2, 3, 4]
    assert plain["results"]["ppl"] > 1
    counts = [entry["results"]["parameters"] for entry in (core, plain)]
    assert abs(counts[0] - counts[1]) <= TOLERANCE * counts[0]
    assert core["made"]["recipe"] == plain["made"]["recipe"]
    assert core["made"]["tokenizer"] == plain["made"]["tokenizer"]
    assert (core["made"]["plain"], plain["made"]["plain"]) == (False, True)
    refused = train_inside(abi, "2M-plain", "lite")  # it has no shared space to put a module into
    assert refused.code == 1
    assert "2M-plain is none" in refused.err


def test_a_wrong_size_and_a_taken_name_are_refused_and_nothing_is_written(stored):
    abi, _ = stored
    before = files_in(abi.root)
    wrong = abi("train-core", "--size", "3M", "--data", abi.corpus)
    assert wrong.code == 1
    assert "one of 2M, 5M" in wrong.err
    taken = train_core(abi)
    assert taken.code == 1
    assert taken.json["error"] == "ExistsError"
    assert "reading" not in taken.err  # before the work
    again = train_inside(abi, "2M", "full")
    assert again.code == 1
    assert "2M-tales is already" in again.err
    assert files_in(abi.root) == before


def stop_at(monkeypatch, step):
    """Ctrl-C, as the progress line of one step is drawn."""

    def press(_line, done, _total, _note):
        if done == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressLine, "__call__", press)


def test_ctrl_c_leaves_a_checkpoint_from_which_the_same_weights_come(stored, tmp_path, monkeypatch):
    abi, made = stored
    fresh = Abi(tmp_path / "registry", abi.corpus)
    monkeypatch.setattr("transplant.training.pretrain.SAVE_EVERY", 2)
    with monkeypatch.context() as patched:
        stop_at(patched, 2)
        assert "--resume continues" in train_core(fresh).err
        stop_at(patched, 1)
        early = train_core(fresh)
        assert "--resume" not in early.err  # what is there is of another run: it is gone
        refused = train_core(fresh, "--resume")
        assert (refused.code, refused.json["error"]) == (1, "InputError")
        assert "nothing to resume" in refused.err
        stop_at(patched, 2)
        stopped = train_core(fresh)
    assert stopped.code == 1
    assert "--resume continues" in stopped.err
    checkpoint = fresh.root / ".runs" / "2M.core.safetensors"
    assert checkpoint.is_file()
    assert fresh("show", "2M").code == 1
    other = train_core(fresh, "--resume", "--learning-rate", "0.01")
    assert other.code == 1
    assert "recipe differs" in other.err
    resumed = train_core(fresh, "--resume")
    assert resumed.code == 0, resumed.err
    assert not checkpoint.exists()
    assert shown(fresh, "2M")["sha256"] == shown(abi, "2M")["sha256"]
    assert resumed.json["train_loss"] == made["2M"]["train_loss"]
    assert shown(fresh, "2M")["sha256"] != shown(abi, "other")["sha256"]


def test_train_inside_a_core_makes_one_that_differs_by_the_module_alone(stored):
    abi, made = stored
    report = made["2M-tales"]
    assert report["name"] == "tales@2M-tales"
    core, grown = tensors_of(abi, "2M"), tensors_of(abi, "2M-tales")
    prefix = "model.domain_modules.tales."
    module = {k.removeprefix(prefix): v for k, v in grown.items() if k.startswith(prefix)}
    assert len(module) == 9
    assert grown.keys() - core.keys() == {prefix + name for name in module}
    for name, tensor in core.items():
        assert torch.equal(grown[name].view(torch.uint8), tensor.view(torch.uint8))
    assert hash_tensors(module) == report["module_sha256"]
    assert module["down.weight"].any()  # it was trained: a new one is silent
    assert report["trained_parameters"] == sum(tensor.numel() for tensor in module.values())
    record = shown(abi, "2M-tales")["made"]["modules"]["tales"]
    assert (record["domain"], record["d_abi"], record["made"]["form"]) == ("tales", 128, "lite")
    assert record["core"] == shown(abi, "2M")["backbone"]["weights_sha256"]
    assert record["results"]["ppl"] == report["ppl"]


def test_a_module_inside_a_core_is_hosted_by_its_name(stored):
    abi, made = stored
    hosted = hosted_in(abi, "tales@2M-tales")
    assert isinstance(hosted, CoreHosted)
    assert module_sha(hosted) == made["2M-tales"]["module_sha256"]
    ids = hosted.tokenizer("The ba cor", return_tensors="pt").input_ids
    raw = hosted_in(abi, "2M")(input_ids=ids).logits
    assert torch.equal(hosted.backbone.model(input_ids=ids).logits, raw)  # switched off
    assert not torch.equal(hosted(input_ids=ids).logits, raw)


def test_form_belongs_to_a_core_and_to_options_that_it_knows(abi):
    before = files_in(abi.root)
    for more, message in (
        (("--form", "lite"), "tiny-gpt2 is none"),
        (("--form", "lite", "--replace"), "--form without"),
        (("--form", "lite", "--taps", "all"), "--form without"),
        (("--form", "lite", "--d-abi", "16"), "--form without"),
        (("--form", "huge"), "one of lite, full"),
    ):
        words = ("train", "--backbone", "tiny-gpt2", "--domain", "tales", "--data", abi.corpus)
        ran = abi(*words, *MODULE, *more)
        assert ran.code == 1, more
        assert message in " ".join(ran.err.split())
    assert files_in(abi.root) == before


def test_ctrl_c_in_the_training_of_a_module_leaves_a_checkpoint_too(stored, tmp_path, monkeypatch):
    abi, made = stored
    fresh = Abi(tmp_path / "registry", abi.corpus)
    shutil.copytree(abi.root / "2M", fresh.root / "2M")
    monkeypatch.setattr("commands.train.TRAIN", dataclasses.replace(TRAIN, evaluate_every=4))
    whole = train_inside(fresh, "2M", "full", "--name", "whole")
    assert whole.code == 0, whole.err
    with monkeypatch.context() as patched:
        stop_at(patched, 6)
        stopped = train_inside(fresh, "2M", "full")
    assert stopped.code == 1
    assert "--resume continues" in stopped.err
    other = train_inside(fresh, "2M", "lite", "--resume")
    assert (other.code, "form differs" in other.err) == (1, True)
    resumed = train_inside(fresh, "2M", "full", "--resume")
    assert resumed.code == 0, resumed.err
    assert shown(fresh, "2M-tales")["sha256"] == shown(fresh, "whole")["sha256"]
    assert resumed.json["module_sha256"] != made["2M-tales"]["module_sha256"]


def test_two_modules_of_both_forms_live_side_by_side_in_one_core(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    words = ("train", "--backbone", "2M-tales", "--domain", "sagas", "--form", "full")
    ran = abi(*words, *MODULE, "--data", abi.corpus, "--eval-tokens", "64", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["name"] == "sagas@2M-tales-sagas"
    raw = stored[1]["2M-tales"]["ppl"]["raw"]
    assert ran.json["ppl"]["raw"] == pytest.approx(raw)  # the first is off while it is trained
    both, one = tensors_of(abi, "2M-tales-sagas"), tensors_of(abi, "2M-tales")
    assert all(torch.equal(both[name], tensor) for name, tensor in one.items())
    assert len(both) == len(one) + 25
    records = shown(abi, "2M-tales-sagas")["made"]["modules"]
    assert {name: record["made"]["form"] for name, record in records.items()} == {
        "tales": "lite",
        "sagas": "full",
    }
    ids = torch.tensor([[*range(5, 20)]])
    alone, beside = (
        hosted_in(abi, f"tales@{core}")(input_ids=ids).logits
        for core in ("2M-tales", "2M-tales-sagas")
    )
    assert torch.equal(alone, beside)  # each is hosted as if the other were not there
    sagas = hosted_in(abi, "sagas@2M-tales-sagas")
    assert module_sha(sagas) == ran.json["module_sha256"]
    assert not torch.equal(sagas(input_ids=ids).logits, beside)
    again = abi(*words[:4], "tales", "--form", "lite", "--data", abi.corpus, "--name", "new")
    assert again.code == 1
    assert "has a module 'tales' inside" in again.err


@pytest.fixture(scope="module")
def moved(stored, tmp_path_factory):
    """The module of 2M-tales moved to `other`, its ceiling trained on the way."""
    abi = copy_of(stored, tmp_path_factory.mktemp("moved"))
    ran = abi("transfer", *MOVE, "--data", abi.corpus, "--json")
    assert ran.code == 0, ran.err
    return abi, ran.json


def test_a_transfer_between_cores_stands_beside_the_paste_and_the_native(stored, moved):
    abi, report = moved
    controls = {"pasted", "random_module", "shuffled_pairs", "linear_surrogate", "random_refitted"}
    chosen = min(report["tried"], key=lambda way: way["loss"])
    controls |= {"donor_alone"} if chosen["donor_word"] else set()
    assert report["recovered"].keys() == {"native", "candidate", *controls}
    assert report["recovered"]["native"] == pytest.approx(1.0)
    assert report["ppl"].keys() == {"raw", *report["recovered"]}
    sha = stored[1]["2M-tales"]["module_sha256"]
    assert report["module_sha256"] == {"donor": sha, "target": sha}
    assert report["name"] == "tales-from-2M-tales@other"
    arrived = hosted_in(abi, report["name"])
    assert module_sha(arrived) == sha
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(transfer_table(report))
    assert "the module's bytes in the target core, no fit" in console.export_text()


def test_the_ceiling_is_a_module_trained_inside_the_target(moved):
    abi, report = moved
    record = shown(abi, "other-tales")["made"]["modules"]["tales"]
    assert record["made"]["form"] == "lite"
    assert record["core"] == shown(abi, "other")["backbone"]["weights_sha256"]
    recipe = shown(abi, "2M-tales")["made"]["modules"]["tales"]["made"]["recipe"]
    assert record["made"]["recipe"] == recipe
    wrong = abi("transfer", *MOVE, "--data", abi.corpus, "--native", "2M-tales", "--replace")
    assert wrong.code == 1
    assert "tales@2M-tales is no native ceiling" in wrong.err


@pytest.fixture
def with_full(stored, tmp_path):
    """A registry in which `other` has a `full` module and 2M none."""
    abi = copy_of(stored, tmp_path)
    assert train_inside(abi, "other", "full").code == 0
    assert abi("rm", "2M-tales", "-y").code == 0
    return abi


def test_a_full_module_is_not_moved_and_nothing_is_written(with_full):
    before = files_in(with_full.root)
    words = ("--module", "tales@other-tales", "--to", "2M", "--data", with_full.corpus)
    ran = with_full("bridge-align", *words)
    assert ran.code == 1
    assert "reads whole windows" in ran.err
    assert "abi paste" in ran.err
    assert files_in(with_full.root) == before


def test_transfer_refuses_a_full_module_before_it_trains_a_ceiling(with_full):
    before = files_in(with_full.root)
    words = ("--module", "tales@other-tales", "--to", "2M", "--data", with_full.corpus)
    assert "reads whole windows" in with_full("transfer", *words).err
    assert files_in(with_full.root) == before


def test_a_paste_takes_the_modules_record_along(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    ran = abi("paste", "--from", "2M-tales", "--to", "other", "--name", "pasted", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["identical"]
    record, origin = (
        shown(abi, core)["made"]["modules"]["tales"] for core in ("pasted", "2M-tales")
    )
    assert record == origin
    hosted = hosted_in(abi, "tales@pasted")
    sha = stored[1]["2M-tales"]["module_sha256"]
    assert module_sha(hosted) == sha
    words = ("--chunk-length", "30", "--chunks", "2", "--skip", "4", "--json")
    same = abi("nib", "--anchor", "tales@pasted", "--candidate", "tales@pasted", *words)
    assert same.json["verdict"] == "pass", same.err  # it found its text through the record
    native = abi("transfer", *MOVE, "--data", abi.corpus, "--native", "pasted")
    assert native.code == 1  # it lives in `other`, but was not trained there
    assert "other core" in " ".join(native.err.split())


def test_the_transfer_that_paste_names_runs(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    ran = abi("paste", "--from", "2M-tales", "--to", "other")
    named = "abi transfer --module tales@2M-tales --to other"
    assert named in " ".join(ran.err.split())
    ran = abi("transfer", *MOVE, "--data", abi.corpus)
    assert ran.code == 0, ran.err


def test_a_name_that_a_module_inside_has_is_refused_or_loads_what_was_trained(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    words = ("train", "--backbone", "2M-tales", "--domain", "tales", "--data", abi.corpus)
    ran = abi(*words, *MODULE, "--eval-tokens", "64", "--json")
    if ran.code == 0:
        hosted = hosted_in(abi, ran.json["name"])
        sha = module_sha(hosted)
        assert sha == ran.json["module_sha256"]


def test_a_module_is_not_put_into_a_core_in_half_precision(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    backbone = load_backbone("2M", path=abi.root / "2M", dtype="bfloat16")
    for part in (backbone.model, backbone.tokenizer):
        part.save_pretrained(tmp_path / "half")
    ran = train_inside(abi, str(tmp_path / "half"), "lite", "--name", "half-tales")
    assert ran.code == 1  # it would be rounded, and no longer be what was trained
    assert "BF16" in ran.err
    assert not (abi.root / "half-tales").exists()


def test_a_folder_that_can_be_trained_in_can_be_stored(stored, tmp_path, monkeypatch):
    abi = copy_of(stored, tmp_path)
    monkeypatch.chdir(abi.root)
    (abi.root / "2M" / "manifest.json").unlink()  # a folder of the disk, as any
    (abi.root / "2M").rename("mine")
    ran = train_inside(abi, "mine", "lite", "--name", "mine-tales")
    assert ran.code == 0, ran.err


def test_a_module_inside_a_core_is_no_artifact_of_its_own(stored):
    abi, _ = stored
    before = files_in(abi.root)
    for words in (("show", "tales@2M-tales"), ("rm", "tales@2M-tales", "--yes")):
        ran = abi(*words)
        assert ran.code == 1
        assert "inside the core 2M-tales" in " ".join(ran.err.split())
    assert files_in(abi.root) == before
