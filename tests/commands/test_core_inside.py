"""`abi train --form`: a module inside a core."""

from __future__ import annotations

import shutil

import pytest
import torch

from commands.fence import EXIT_INTERRUPTED
from tests.commands.conftest import Abi
from tests.commands.core_runs import (
    MODULE,
    copy_of,
    files_in,
    hosted_in,
    module_sha,
    shown,
    stop_at,
    tensors_of,
    train_inside,
)
from transplant.backbones.fingerprint import hash_tensors
from transplant.backbones.load import load_backbone
from transplant.modules.core import CoreHosted
from transplant.paste.core import open_core
from transplant.training.config import TrainConfig
from transplant.workflows.cores import add_module
from transplant.workflows.cores.folders import promised_tensors


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
    monkeypatch.setitem(TrainConfig.__init__.__kwdefaults__, "evaluate_every", 4)
    whole = train_inside(fresh, "2M", "full", "--name", "whole")
    assert whole.code == 0, whole.err
    with monkeypatch.context() as patched:
        stop_at(patched, 6)
        stopped = train_inside(fresh, "2M", "full")
    assert stopped.code == EXIT_INTERRUPTED
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


def test_a_name_that_a_module_inside_has_is_refused(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    before = files_in(abi.root)
    words = ("train", "--backbone", "2M-tales", "--domain", "tales", "--data", abi.corpus)
    ran = abi(*words, *MODULE, "--eval-tokens", "64", "--json")
    assert ran.code == 1
    assert ran.json["what"] == "2M-tales has a module 'tales' inside"
    assert files_in(abi.root) == before
    other = abi(*words, *MODULE, "--eval-tokens", "64", "--json", "--name", "free")
    assert other.code == 0, other.err  # control: another name is none that is inside
    assert module_sha(hosted_in(abi, "free@2M-tales")) == other.json["module_sha256"]


@pytest.mark.usefixtures("bfloat16")
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


@pytest.mark.parametrize("damaged", [True, False])
def test_a_core_that_is_damaged_while_a_module_is_trained_in_it_is_not_grown(
    stored, tmp_path, monkeypatch, damaged
):
    abi = copy_of(stored, tmp_path)

    def damage(work, folder):
        if damaged:
            span = open_core(folder).tensors["model.abi_to_core.weight"]
            data = bytearray(span.file.read_bytes())
            data[span.begin] ^= 1
            span.file.write_bytes(data)
        return promised_tensors(work, folder)

    monkeypatch.setattr(add_module, "promised_tensors", damage)
    words = ("train", "--backbone", "2M", "--domain", "again", "--form", "lite", *MODULE)
    ran = abi(*words, "--data", abi.corpus, "--eval-tokens", "64", "--json")
    assert ran.code == int(damaged), ran.err
    assert ("tensor model.abi_to_core.weight" in ran.out) == damaged
    assert (abi.root / "2M-again").exists() != damaged
