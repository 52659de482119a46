"""The fingerprint of a configuration: what decides the logits, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoConfig, LlamaConfig

import registry
from tests.tiny import FAMILIES, tiny_model
from transplant.backbones.configuration import hash_config, hash_config_of
from transplant.backbones.load import load_backbone

SHIPPED = Path(registry.__file__).parent / "reference"
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.mark.parametrize("name", ["ref-gpt2", "ref-gpt2-b", "ref-llama", "ref-t5"])
def test_what_is_shipped_has_the_fingerprint_of_its_configuration(name):
    folder = SHIPPED / name
    found = hash_config_of(folder)
    for file in folder.rglob("manifest.json"):
        assert json.loads(file.read_text("utf-8"))["backbone"]["config_sha256"] == found, file
    other = AutoConfig.from_pretrained(folder)
    other.vocab_size += 1  # control
    assert hash_config(other) != found


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_and_the_model_from_it_have_one_fingerprint(tmp_path, family, tiny_tokenizer):
    model = tiny_model(family, tiny_tokenizer)
    model.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    found = hash_config_of(tmp_path)
    assert found == hash_config(model.config)
    assert found == load_backbone(tmp_path).config_sha256
    assert found == load_backbone(tmp_path, dtype="bfloat16").config_sha256


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_act": "relu"}, {"rms_norm_eps": 1e-5}, {"num_key_value_heads": 2},
        {"max_position_embeddings": 64}, {"tie_word_embeddings": True}, {"head_dim": 4},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}},
        {"attention_bias": True}, {"a_setting_of_tomorrow": 1},
    ],
)  # fmt: skip
def test_what_decides_the_logits_changes_it(change):
    assert hash_config(LlamaConfig(**TINY, **change)) != hash_config(LlamaConfig(**TINY))


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "float16"}, {"use_cache": False}, {"architectures": ["Other"]},
        {"attention_dropout": 0.1}, {"initializer_range": 0.5}, {"id2label": {0: "a", 1: "b"}},
        {"eos_token_id": 7}, {"_name_or_path": "elsewhere"}, {"transformers_version": "9.9"},
        {"temperature": 0.3}, {"hidden_act": "silu"}, {"rms_norm_eps": 1e-6},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10000}},
    ],
)  # fmt: skip
def test_what_does_not_leaves_it(change):
    assert hash_config(LlamaConfig(**TINY, **change)) == hash_config(LlamaConfig(**TINY))


def test_a_setting_that_is_stated_and_one_that_is_usual_are_the_same(tmp_path, tiny_tokenizer):
    tiny_model("llama", tiny_tokenizer).save_pretrained(tmp_path)
    before, file = hash_config_of(tmp_path), tmp_path / "config.json"
    stated = json.loads(file.read_text())
    usual = LlamaConfig().to_dict()
    kept = {k: v for k, v in stated.items() if k == "model_type" or v != usual.get(k)}
    assert len(kept) < len(stated)
    file.write_text(json.dumps(kept))
    assert hash_config_of(tmp_path) == before


def test_the_switch_of_a_module_inside_a_core_changes_it(tiny_tokenizer):
    core = tiny_model("layercake", tiny_tokenizer)
    before = hash_config(core.config)
    core.set_active("tales", False)
    assert hash_config(core.config) != before
