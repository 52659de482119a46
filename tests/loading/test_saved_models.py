"""Hosted models in folders and on the hub: saved as `transformers` does, loaded in every way."""

from __future__ import annotations

import huggingface_hub
import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import hub

import transplant
from tests.loading.hosted_kinds import logits_of
from transplant.errors import BackboneError, InputError, ShapeError
from transplant.modules.hosted import HostedModel
from transplant.modules.hosted_linear import LinearModel


@pytest.mark.parametrize("kind", ["raw", "module", "linear", "core"])
def test_what_is_saved_is_loaded_in_every_way(loaded, kind, tmp_path):
    model = loaded(kind)
    model.save_pretrained(tmp_path / "kept")
    found = {path.suffix for path in (tmp_path / "kept").rglob("*.*")}
    assert found <= {".json", ".safetensors", ".jinja"}  # nothing is pickled
    again = transplant.load(str(tmp_path / "kept"))
    assert torch.equal(logits_of(again), logits_of(model)) or kind == "core"
    auto = AutoModelForCausalLM.from_pretrained(tmp_path / "kept")
    torch.testing.assert_close(logits_of(auto), logits_of(model), rtol=0, atol=1e-5)
    if kind in ("module", "linear"):
        assert type(again) is type(model)
        assert torch.equal(
            logits_of(type(model).from_pretrained(tmp_path / "kept")), logits_of(again)
        )
        own = (
            next(again.correction.parameters()) if kind == "module" else again.linear.proj_out.bias
        )
        with torch.no_grad():  # what is saved once more is what is in memory
            own.add_(0.5)
        again.save_pretrained(tmp_path / "more")
        assert torch.equal(logits_of(transplant.load(tmp_path / "more")), logits_of(again))
        assert not torch.equal(logits_of(again), logits_of(model))


@pytest.mark.filterwarnings("ignore")
def test_a_lora_is_saved_as_peft_has_it(loaded, tmp_path):
    from peft import PeftModel

    model = loaded("adapter")
    model.save_pretrained(tmp_path / "lora")
    raw = AutoModelForCausalLM.from_pretrained(model.config.name_or_path)
    theirs = PeftModel.from_pretrained(raw, tmp_path / "lora")
    torch.testing.assert_close(logits_of(theirs), logits_of(model), rtol=0, atol=1e-5)
    assert torch.equal(logits_of(type(model).from_pretrained(tmp_path / "lora")), logits_of(model))


def test_a_backbone_that_was_trained_is_saved_with_it(model, tmp_path):
    model.language_model.requires_grad_(True)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.5)
    model.save_pretrained(tmp_path / "kept")
    assert all(parameter.requires_grad for parameter in model.language_model.parameters())
    assert torch.equal(logits_of(transplant.load(tmp_path / "kept")), logits_of(model))
    assert (tmp_path / "kept" / "backbone" / "model.safetensors").is_file()


def test_other_weights_than_the_saved_ones_are_refused(loaded, tmp_path):
    base = saved(loaded("raw"), tmp_path / "base")
    model = transplant.load(str(base))
    hosted = HostedModel("m", model.backbone, loaded().correction)
    hosted.save_pretrained(tmp_path / "kept")
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.5)
    saved(model, base)
    with pytest.raises(BackboneError, match="not those that"):
        transplant.load(tmp_path / "kept")


@pytest.mark.parametrize("kind", ["module", "linear"])
def test_what_is_sent_to_the_hub_names_no_folder_of_this_machine(
    loaded, kind, shelf, monkeypatch, tmp_path
):
    sent = {}

    class StandIn:
        def create_repo(self, name, **_):
            return huggingface_hub.RepoUrl(f"https://huggingface.co/{name}")

        def create_commit(self, *, operations, **_):
            for one in operations:
                path = tmp_path / one.path_in_repo
                path.parent.mkdir(parents=True, exist_ok=True)
                with one.as_file() as file:
                    path.write_bytes(file.read())
                sent[one.path_in_repo] = path.read_bytes()

    class Card:
        def save(self, path):
            open(path, "w").close()

    monkeypatch.setattr(hub, "hf_api", StandIn)
    monkeypatch.setattr(hub, "create_and_tag_model_card", lambda *_, **__: Card())
    model = loaded(kind)
    model.push_to_hub("me/tales")
    assert {"config.json", "model.safetensors", "backbone/model.safetensors"} <= {*sent}
    assert not any(str(shelf.root).encode() in one for one in sent.values())
    assert torch.equal(logits_of(transplant.load(tmp_path)), logits_of(model))
    model.save_pretrained(tmp_path / "kept")  # control: here it refers to where the backbone is
    assert str(shelf.root) in (tmp_path / "kept" / "config.json").read_text()


def test_what_no_folder_can_hold_is_refused_before_anything_is_sent(loaded, shelf, tmp_path):
    gpt2 = loaded("raw").backbone
    whole = shelf.adapter(gpt2, "whole", whole=["transformer.ln_f.weight"])
    model = transplant.load(whole, library=shelf.work.library)
    with pytest.raises(InputError, match="trained whole"):
        model.push_to_hub("me/tales")
    with pytest.raises(InputError, match="trained whole"):
        model.save_pretrained(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    with pytest.raises(ShapeError, match="no linear map"):
        LinearModel.from_pretrained(saved(loaded(), tmp_path / "module"))


def saved(model, folder):
    model.save_pretrained(folder)
    return folder
