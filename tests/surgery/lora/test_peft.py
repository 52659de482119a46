"""Imported adapters against PEFT itself, on tiny random models of every family."""

from __future__ import annotations

import copy
import json
import random
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny import FAMILIES, tiny_backbone
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.errors import InputError, ShapeError
from transplant.surgery.lora.config import KNOWN, read_settings
from transplant.surgery.lora.folder import CONFIG, WEIGHTS, read_lora
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.match import match_lora
from transplant.surgery.lora.merge import merged

pytestmark = pytest.mark.bits

peft = pytest.importorskip("peft")
WORDS = "The ba cor dens a fi with the gral hu 12. The mi nor pass ru under the ti 7."
ATTENTION = {
    "gpt2": ["c_attn", "c_proj"],
    "gpt_neox": ["query_key_value", "dense"],
    "t5": ["q", "v", "wo"],
    "t5-untied": ["q", "v", "wi_0"],
    "layercake": ["model.layers.0.qkv", "model.layers.1.ff_out"],
    "phi3": ["qkv_proj", "down_proj"],
    "opt": ["q_proj", "fc2"],
    "opt-projected": ["q_proj", "project_in"],
}


@pytest.fixture
def save(tmp_path):
    """Saves a random LoRA of some settings; returns PEFT's own model and the folder."""

    def make(backbone, **settings):
        model = copy.deepcopy(backbone.model)
        config = peft.LoraConfig(**{"r": 3, "lora_alpha": 7, "lora_dropout": 0.1, **settings})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tied tables and the like
            wrapped = peft.get_peft_model(model, config)
            draw = torch.Generator().manual_seed(1)
            with torch.no_grad():
                for name, parameter in wrapped.named_parameters():
                    if "lora_" in name or parameter.requires_grad:
                        noise = torch.randn(parameter.shape, generator=draw)
                        parameter.add_(0.3 * noise)
            wrapped.save_pretrained(tmp_path / "lora")
        return wrapped.eval(), tmp_path / "lora"

    return make


def inputs(backbone):
    ids = backbone.tokenizer(WORDS, add_special_tokens=False, return_tensors="pt").input_ids
    if not isinstance(backbone, PrefixBackbone):
        return {"input_ids": ids}
    half = ids.shape[1] // 2
    return {"input_ids": ids[:, :half], "decoder_input_ids": ids[:, half:]}


@torch.no_grad()
def logits(model, backbone):
    return model(**inputs(backbone)).logits


def attach(folder, backbone):
    return LoraModel("it", backbone, match_lora(read_lora(folder), backbone))


def merged_by_peft(theirs, backbone):
    """PEFT's own merge: rounding makes it differ from the attached adapter, there as here."""
    return logits(theirs.merge_and_unload(), backbone)


def agrees(found, expected, raw):
    """Within 1e-5 of PEFT's (of the largest logit, where that is above one), and not raw."""
    off = (found - expected).abs().max() / expected.abs().max().clamp_min(1.0)
    assert (expected - raw).abs().max() > 1e-2
    return bool(off <= 1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_attached_and_merged_logits_are_pefts_own(family, tiny_tokenizer, save):
    backbone = tiny_backbone(family, tiny_tokenizer)
    theirs, folder = save(
        backbone, target_modules=ATTENTION.get(family, ["q_proj", "v_proj"]), bias="none"
    )
    raw = logits(backbone.model, backbone)
    expected = logits(theirs, backbone)
    hosted = attach(folder, backbone)
    with backbone.frozen():
        assert agrees(logits(hosted, backbone), expected, raw)
    assert torch.equal(logits(backbone.model, backbone), raw)  # no hook is left
    with backbone.frozen():
        other = merged("new", backbone, hosted.update)
    assert agrees(logits(other.model, other), merged_by_peft(theirs, backbone), raw)
    assert other.weights_sha256 != backbone.weights_sha256


SETTINGS = {
    "every map": {"target_modules": "all-linear"},
    "rsLoRA": {"target_modules": ["q_proj", "o_proj"], "use_rslora": True},
    "a regular expression": {"target_modules": r".*layers\.1\.(self_attn\.[qk]_proj|mlp\..*_proj)"},
    "patterns": {
        "target_modules": ["q_proj", "v_proj", "down_proj"],
        "rank_pattern": {"layers.0.self_attn.q_proj": 5, "down_proj": 2},
        "alpha_pattern": {"v_proj": 1, "layers.1.*q_proj": 20},
    },
    "a layer, and one map by its whole name": {
        "target_modules": ["model.layers.0.self_attn.q_proj", "v_proj"], "layers_to_transform": [1],
    },
    "some layers": {
        "target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": "layers",
    },
    "but for": {
        "target_modules": ["q_proj", "v_proj"], "exclude_modules": ["layers.0.self_attn.q_proj"],
    },
    "embeddings and head": {"target_modules": ["embed_tokens", "lm_head", "q_proj"]},
    "whole modules": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "norm"]},
    "a bias behind B": {"target_modules": ["q_proj"], "lora_bias": True},
}  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=[*SETTINGS])
@pytest.mark.filterwarnings("ignore")
def test_every_setting_means_what_it_means_to_peft(settings, tiny_tokenizer, save):
    backbone = tiny_backbone("llama", tiny_tokenizer, tie_word_embeddings=False)
    if "lora_bias" in settings:
        backbone = tiny_backbone("qwen2", tiny_tokenizer)
    theirs, folder = save(backbone, **settings)
    hosted = attach(folder, backbone)
    expected, raw = logits(theirs, backbone), logits(backbone.model, backbone)
    assert agrees(logits(hosted, backbone), expected, raw)
    other = merged("new", backbone, hosted.update)
    assert agrees(logits(other.model, other), merged_by_peft(theirs, backbone), raw)


@pytest.mark.parametrize("bias", ["lora_only", "all"])
@pytest.mark.filterwarnings("ignore")
def test_trained_biases_are_taken_whole(bias, tiny_tokenizer, save):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    theirs, folder = save(backbone, target_modules=["c_attn"], bias=bias, fan_in_fan_out=True)
    hosted = attach(folder, backbone)
    assert hosted.update.whole
    expected, raw = logits(theirs, backbone), logits(backbone.model, backbone)
    assert agrees(logits(hosted, backbone), expected, raw)
    other = merged("new", backbone, hosted.update)
    assert agrees(logits(other.model, other), merged_by_peft(theirs, backbone), raw)


@pytest.mark.parametrize("family", ["gpt2", "gemma"])
@pytest.mark.filterwarnings("ignore")
def test_a_tied_table_changes_in_one_use_and_cannot_be_merged(family, tiny_tokenizer, save):
    backbone = tiny_backbone(family, tiny_tokenizer, tie_word_embeddings=True)
    table = {"gpt2": "wte", "gemma": "embed_tokens"}[family]
    theirs, folder = save(backbone, target_modules=[table])
    hosted = attach(folder, backbone)
    expected, raw = logits(theirs, backbone), logits(backbone.model, backbone)
    assert agrees(logits(hosted, backbone), expected, raw)
    with pytest.raises(InputError, match="shared"):
        merged("new", backbone, hosted.update)


def test_in_half_precision_it_is_still_pefts(tiny_tokenizer, save):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    backbone.model.bfloat16()
    theirs, folder = save(backbone, target_modules=["q_proj", "down_proj"])
    found, expected = logits(attach(folder, backbone), backbone), logits(theirs, backbone)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def stored_as(folder, types):
    file = folder / WEIGHTS
    tensors = load_file(file)
    save_file({name: t.to(types["lora_B" in name]) for name, t in tensors.items()}, file)


@pytest.mark.parametrize(
    "types",
    [(torch.bfloat16,) * 2, (torch.float16, torch.float32), (torch.float8_e4m3fn,) * 2],
    ids=["bfloat16", "mixed", "float8"],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_stored_in_little_is_computed_in_single_precision(types, tiny_tokenizer, save):
    backbone = tiny_backbone("llama", tiny_tokenizer, tie_word_embeddings=False)
    _, folder = save(backbone, target_modules=["q_proj", "embed_tokens"])
    stored_as(folder, types)
    theirs = peft.PeftModel.from_pretrained(copy.deepcopy(backbone.model), str(folder)).eval()
    expected, raw = logits(theirs, backbone), logits(backbone.model, backbone)
    hosted = attach(folder, backbone)
    assert agrees(logits(hosted, backbone), expected, raw)
    other = merged("new", backbone, hosted.update)
    assert agrees(logits(other.model, other), merged_by_peft(theirs, backbone), raw)


def test_targets_are_chosen_as_peft_chooses_them():
    """On drawn settings, and on names with numbers in several places and in none."""
    from peft.tuners.tuners_utils import check_target_module_exists

    names = [
        f"{start}{numbered}{leaf}"
        for start in ("", "model.", "encoder.")
        for numbered in ("layers.0.", "layers.1.mlp.experts.0.", "h.1.block.0.", "")
        for leaf in ("attn.q_proj", "q_proj", "fc_in", "head")
    ]
    draw, chosen, missed = random.Random(0), 0, 0
    for _ in range(300):
        options = {
            "target_modules": draw.sample([*names, "q_proj", "attn.q_proj", "head", "fc"], 2),
            "exclude_modules": draw.choice([None, ["head"], ["layers.0.q_proj"], r".*fc.*"]),
            "layers_to_transform": draw.choice([None, 0, [1], [0, 1], []]),
            "modules_to_save": draw.choice([None, None, ["head"], ["attn"]]),
        }
        if options["layers_to_transform"] is not None:
            options["layers_pattern"] = draw.choice([None, "layers", ["h", "layers"], "block"])
        theirs = peft.LoraConfig(**options)
        stored = {"peft_type": "LORA", "r": 2, **options}
        ours = read_settings(json.dumps(stored).encode(), Path("adapter_config.json"))
        for name in names:
            expected = bool(check_target_module_exists(theirs, name))
            assert ours.is_target(name) == expected, (options, name)
            chosen, missed = chosen + expected, missed + (not expected)
    assert min(chosen, missed) > 300


def test_every_setting_of_peft_is_read_or_refused(tiny_tokenizer, save):
    """Those that are on by default, and named nowhere, would be refused in every folder."""
    _, folder = save(tiny_backbone("llama", tiny_tokenizer), target_modules=["q_proj"])
    stored = json.loads((folder / CONFIG).read_text())
    read_settings(json.dumps(stored).encode(), folder / CONFIG)
    for name in stored.keys() - KNOWN:
        changed = json.dumps({**stored, name: {"a": 1}}).encode()
        with pytest.raises(InputError, match=name):
            read_settings(changed, folder / CONFIG)


def test_it_generates_what_peft_generates(tiny_tokenizer, save):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    backbone.model.double()  # so that rounding does not choose between two tokens
    theirs, folder = save(backbone, target_modules=["c_attn", "c_fc"])
    ids = inputs(backbone)["input_ids"]
    options = {"max_new_tokens": 8, "do_sample": False, "attention_mask": torch.ones_like(ids)}
    found = attach(folder, backbone).generate(ids, **options)
    assert torch.equal(found, theirs.generate(input_ids=ids, **options))
    assert not torch.equal(found, backbone.model.generate(ids, **options))


def test_another_alpha_gives_other_logits(tiny_tokenizer, save):
    """The comparison with PEFT can fail."""
    backbone = tiny_backbone("llama", tiny_tokenizer)
    theirs, folder = save(backbone, target_modules=["q_proj", "v_proj"])
    expected, raw = logits(theirs, backbone), logits(backbone.model, backbone)
    stored = json.loads((folder / CONFIG).read_text())
    for change in ({"lora_alpha": 7.01}, {"use_rslora": True}, {"alpha_pattern": {"v_proj": 6}}):
        (folder / CONFIG).write_text(json.dumps({**stored, **change}))
        assert not agrees(logits(attach(folder, backbone), backbone), expected, raw)
    (folder / CONFIG).write_text(json.dumps({**stored, "rank_pattern": {"v_proj": 4}}))
    with pytest.raises(ShapeError, match=r"v_proj.lora_A.weight: \[4, 32\] against \[3, 32\]"):
        attach(folder, backbone)


def test_what_changes_the_backbone_or_its_form_is_refused(tiny_tokenizer, save):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    _, folder = save(backbone, target_modules=["q_proj"], use_dora=True)
    with pytest.raises(InputError, match="use_dora.*rescales"):
        read_lora(folder)
    core = tiny_backbone("layercake", tiny_tokenizer)
    _, folder = save(core, target_modules=["qkv"])
    with pytest.raises(InputError, match="keeps its bits"):
        attach(folder, core)
