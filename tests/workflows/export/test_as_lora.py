"""An exported LoRA is what was loaded, for PEFT in a process of its own, merged or beside."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from tests.workflows.export.hosted_things import IDS, Shelf
from transplant.errors import InputError, NumericalError
from transplant.surgery.lora.on_head import on_head
from transplant.workflows.export.probe import largest_on_head

FRESH = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
from torch.nn import Parameter
ids, found = torch.arange(24)[None], {}
for case in json.load(open(sys.argv[1])):
    auto = AutoModelForSeq2SeqLM if case["family"].startswith("t5") else AutoModelForCausalLM
    inputs = {"input_ids": ids}
    if auto is AutoModelForSeq2SeqLM:
        inputs["decoder_input_ids"] = ids
    base = auto.from_pretrained(case["base"])
    head = base.get_output_embeddings()
    if case["head"] and head.weight is base.get_input_embeddings().weight:
        head.weight = Parameter(head.weight.clone())
        base.config.tie_word_embeddings = False
    with torch.no_grad():
        raw = base(**inputs).logits
        model = PeftModel.from_pretrained(base, case["out"])
        beside = model(**inputs).logits
        merged = model.merge_and_unload()(**inputs).logits if case["merges"] else beside
        if case["family"] == "llama":
            by_itself = AutoPeftModelForCausalLM.from_pretrained(case["out"])
            assert torch.equal(by_itself(**inputs).logits, beside)
    found[case["out"]] = {"raw": raw, "beside": beside, "merged": merged}
assert "transplant" not in sys.modules
torch.save(found, sys.argv[2])
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tiny_tokenizer):
    return Shelf(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)


def logits_of(hosted, family):
    inputs = {"input_ids": IDS}
    if family.startswith("t5"):
        inputs["decoder_input_ids"] = IDS
    with torch.no_grad():
        return hosted(**inputs).logits


def perplexity(logits):
    return torch.nn.functional.cross_entropy(logits[0, :-1], IDS[0, 1:]).exp().item()


def test_peft_loads_it_in_a_fresh_process_and_merges_it(shelf, tmp_path):
    pytest.importorskip("peft")
    names = {}
    for family in ("llama", "gpt2", "t5"):
        backbone = shelf.backbone(family)
        names[f"{family}-pairs"] = (family, shelf.adapter(backbone, "taught", uneven=True))
        names[f"{family}-basis"] = (family, shelf.inside(backbone, "within"))
        names[f"{family}-head"] = (family, shelf.linear(backbone, "law", constant=False))
    names["phi-head"] = ("phi", shelf.linear(shelf.backbone("phi"), "law"))
    names["gemma2-head"] = ("gemma2", shelf.linear(shelf.backbone("gemma2"), "law", rank=32))
    cases = []
    for key, (family, name) in names.items():
        out = tmp_path / key
        report = shelf.work.export(name, out, form="lora")
        assert report["logits"] < 1e-4
        settings = json.loads((out / "adapter_config.json").read_text())
        cases.append({
            "family": family, "base": settings["base_model_name_or_path"], "out": str(out),
            "merges": report["merges"], "head": key.endswith("head"), "name": name,
        })  # fmt: skip
    assert [case["merges"] for case in cases].count(False) == 1  # Gemma's head has no bias
    told, found = tmp_path / "cases.json", tmp_path / "found.pt"
    told.write_text(json.dumps(cases))
    env = {"PATH": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FRESH, str(told), str(found)]
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for out, logits in torch.load(found).items():
        case = next(one for one in cases if one["out"] == out)
        expected = logits_of(shelf.work.load(case["name"]), case["family"])
        assert (expected - logits["raw"]).abs().max() > 1e-2, out  # control: it does something
        for way in ("beside", "merged"):
            torch.testing.assert_close(logits[way], expected, rtol=1e-4, atol=1e-4)
            assert perplexity(logits[way]) == pytest.approx(perplexity(expected), rel=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_one_scale_for_all_is_enough_for_readers_without_patterns(shelf, tmp_path, family):
    """As vLLM reads it: lora_alpha / r for every pair, of whatever rank, and no bias."""
    name = shelf.adapter(shelf.backbone(family), f"uneven-{family}", uneven=True)
    shelf.work.export(name, tmp_path / "out", form="lora")
    settings = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    tensors = load_file(tmp_path / "out" / "adapter_model.safetensors")
    pairs, scale = shelf.work.load(name).update.pairs, settings["lora_alpha"] / settings["r"]
    assert len({pair.scale for pair in pairs.values()}) == 2  # control: one does not fit them all
    assert (settings["bias"], settings["lora_bias"], settings["use_rslora"]) == (
        "none", False, False
    )  # fmt: skip
    for module, pair in pairs.items():
        a, b = (tensors[f"base_model.model.{module}.lora_{one}.weight"] for one in "AB")
        torch.testing.assert_close(scale * b @ a, pair.delta)


def test_an_adapter_inside_a_basis_has_the_ranks_of_its_maps(shelf, tmp_path):
    name, out = shelf.inside(shelf.backbone("llama"), "ranked"), tmp_path / "out"
    report = shelf.work.export(name, out, form="lora")
    assert (report["pairs"], report["ranks"], report["merges"]) == (2, [2, 3], True)
    card = ModelCard.load(out / "README.md")
    assert "LoRA inside a basis for tales" in card.text
    assert "lora" in card.data.tags
    plain = shelf.work.export(name, tmp_path / "plain", form="safetensors")
    assert plain["logits"] < 1e-4
    with pytest.raises(InputError, match="can be exported so"):
        shelf.work.export(name, tmp_path / "none", form="transformers")
    assert shelf.work.export(name, tmp_path / "own")["form"] == "lora"


def test_a_map_of_the_last_layer_has_its_own_rank_on_the_head(shelf, tmp_path):
    backbone = shelf.backbone("llama")
    out = tmp_path / "out"
    report = shelf.work.export(shelf.linear(backbone, "thin", rank=2), out, form="lora")
    assert (report["ranks"], report["merges"]) == ([2], False)
    tensors = load_file(out / "adapter_model.safetensors")
    head = "base_model.model.lm_head.lora_"
    assert tensors[f"{head}A.weight"].shape == (2, backbone.d_model)
    assert tensors[f"{head}B.weight"].shape == (backbone.vocab_size, 2)
    assert tensors[f"{head}B.bias"].shape == (backbone.vocab_size,)
    settings = json.loads((out / "adapter_config.json").read_text())
    assert (settings["target_modules"], settings["lora_bias"]) == (["lm_head"], True)
    assert "cannot be merged" in (out / "README.md").read_text()


@pytest.mark.usefixtures("any_arithmetic")
@pytest.mark.parametrize("family", ["llama", "t5", "phi"])
def test_in_16_bits_the_head_is_compared_before_it_rounds(shelf, tmp_path, family):
    backbone = shelf.work.backbone(shelf.backbone(family).name)
    name = shelf.linear(backbone, f"rounded-{family}")
    rounded = dataclasses.replace(shelf.work, dtype="bfloat16")
    report = rounded.export(name, tmp_path / "out", form="lora")
    assert (report["logits"] < 1e-4, report["compared_in"]) == (True, "single precision")
    hosted = rounded.load(name)
    assert hosted.backbone.dtype == torch.bfloat16
    pair = on_head(hosted.linear, hosted.backbone).pairs
    (one,) = pair.values()
    assert largest_on_head(hosted, one) == pytest.approx(report["logits"], abs=1e-5)
    wrong = dataclasses.replace(one, a=one.a * 1.01)
    with pytest.raises(NumericalError, match="logits differ"):
        largest_on_head(hosted, wrong)


def test_what_is_no_lora_is_refused_with_the_export_that_takes_it(shelf, tmp_path):
    backbone = shelf.backbone("llama")
    refused = {
        shelf.module(backbone, "tales"): "form='transformers'",
        shelf.linear(backbone, "deep", taps=(0, 2)): "form='transformers'",
        shelf.adapter(backbone, "part", whole=("model.norm.weight",)): "form='safetensors'",
    }
    for name, hint in refused.items():
        with pytest.raises(InputError) as error:
            shelf.work.export(name, tmp_path / "out", form="lora")
        assert hint in str(error.value.hint)
    with pytest.raises(InputError, match="can be exported so") as error:
        shelf.work.export(shelf.adapter(backbone, "pairs"), tmp_path / "out", form="transformers")
    assert "form='lora'" in str(error.value.hint)
    with pytest.raises(InputError, match="`code` has no use here.*found lora"):
        shelf.work.export(shelf.adapter(backbone, "more-pairs"), tmp_path / "out", code=True)
    assert not (tmp_path / "out").exists()


def test_without_a_form_each_kind_goes_out_as_what_takes_it(shelf, tmp_path):
    backbone = shelf.backbone("llama")
    forms = {
        shelf.adapter(backbone, "unasked-lora"): "lora",
        shelf.module(backbone, "unasked-module"): "transformers",
        shelf.linear(backbone, "unasked-map", rank=2): "transformers",
    }
    for number, (name, form) in enumerate(forms.items()):
        assert shelf.work.export(name, tmp_path / str(number))["form"] == form


def test_the_card_names_base_controls_and_recipe_and_no_token_counts(shelf, tmp_path):
    out, name = tmp_path / "out", shelf.adapter(shelf.backbone("llama"), "told")
    shelf.work.export(name, out, form="lora")
    card = ModelCard.load(out / "README.md")
    assert (card.data.library_name, card.data.license) == ("peft", "unknown")
    assert "| shuffled_pairs (control) |" in card.text
    assert "merge_and_unload" in card.text
    assert "token_counts" not in (out / "abi.json").read_text()
    shelf.work.export(name, tmp_path / "counted", form="lora", with_token_counts=True)
    assert "token_counts" in (tmp_path / "counted" / "abi.json").read_text()
