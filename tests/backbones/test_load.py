"""A backbone is loaded whole or refused by name, whatever its folder holds."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from tests.backbones.folders import configure, edit, reweigh, shard
from transplant.backbones.load import load_backbone
from transplant.errors import BackboneError, InputError, NumericalError


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_a_whole_folder_is_loaded_without_a_note(folder, family):
    assert load_backbone(folder(family)).notes == []


def test_whole_shards_are_loaded(folder):
    path = folder("llama")
    plain = load_backbone(path)
    assert load_backbone(shard(path, lambda _index: None)).weights_sha256 == plain.weights_sha256


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("gpt2", "transformer.h.1.mlp.c_fc.bias"),
        ("gpt2", "transformer.wte.weight"),
        ("llama", "lm_head.weight"),
        ("llama", "model.norm.weight"),
        ("t5", "encoder.final_layer_norm.weight"),
    ],
)
def test_a_missing_weight_is_refused_by_name(folder, family, name):
    path = reweigh(folder(family), lambda tensors: tensors.pop(name))
    with pytest.raises(BackboneError, match=rf"(?s)missing.*{name}"):
        load_backbone(path)


def test_a_tied_head_may_be_absent_and_may_be_there(folder):
    path = folder("gpt2")
    before = load_backbone(path)
    assert "lm_head.weight" not in load_file(path / "model.safetensors")
    table = "transformer.wte.weight"
    reweigh(path, lambda tensors: tensors.update({"lm_head.weight": tensors[table].clone()}))
    assert load_backbone(path).weights_sha256 == before.weights_sha256


def test_a_weight_of_another_shape_is_refused_by_name(folder):
    path = reweigh(folder("llama"), lambda t: t.update({"model.norm.weight": torch.ones(3)}))
    with pytest.raises(BackboneError, match=r"model\.norm\.weight of shape \[32\], found \[3\]"):
        load_backbone(path)


def test_more_layers_than_the_file_holds_are_refused(folder):
    with pytest.raises(BackboneError, match=r"missing.*model\.layers\.2\."):
        load_backbone(configure(folder("llama"), num_hidden_layers=3))


@pytest.mark.parametrize(
    ("family", "count"),
    [
        ("llama", {"num_hidden_layers": 1}), ("llama", {"num_hidden_layers": 0}),
        ("gpt2", {"n_layer": 1}), ("t5", {"num_layers": 1, "num_decoder_layers": 2}),
        ("t5", {"num_layers": 0}), ("t5", {"num_decoder_layers": 1}),
    ],
)  # fmt: skip
def test_fewer_layers_than_the_file_holds_are_refused(folder, family, count):
    with pytest.raises(BackboneError, match="leaves out layers"):
        load_backbone(configure(folder(family), **count))


def test_a_tensor_without_a_place_is_noted(folder):
    path = reweigh(folder("llama"), lambda t: t.update({"score.weight": torch.ones(2, 2)}))
    (note,) = load_backbone(path).notes
    assert "score.weight" in note


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["transformer.wte.weight", "transformer.h.1.mlp.c_fc.bias"])
def test_a_weight_that_is_no_number_is_named(folder, name, value):
    path = reweigh(folder("gpt2"), lambda t: t[name].view(-1)[5:6].fill_(value))
    with pytest.raises(NumericalError, match=rf"{name}.*in 1 of") as caught:
        load_backbone(path)
    assert "learning" not in str(caught.value)


@pytest.mark.usefixtures("bfloat16")
def test_a_weight_beyond_float16_is_named_there_alone(folder):
    path = reweigh(folder("gpt2"), lambda t: t["transformer.ln_f.bias"][0:1].fill_(1e6))
    load_backbone(path, dtype="bfloat16")
    with pytest.raises(NumericalError, match=r"in float16.*transformer\.ln_f\.bias"):
        load_backbone(path, dtype="float16")


@pytest.mark.parametrize(
    ("family", "values"),
    [
        *(("gpt2", {"n_layer": value}) for value in (None, "x", [], 1.5, -1, 10**9, 10**40)),
        *(("gpt2", {"n_embd": value}) for value in (None, 0, 10**6, 10**9, 10**40)),
        *(("gpt2", {"n_positions": value}) for value in (None, -1, 1, 10**9)),
        *(("gpt2", {"model_type": value}) for value in (None, 5, [], {}, "nonsense", "llama")),
        *(("gpt2", {"activation_function": value}) for value in (None, 7, "nonsense")),
        ("gpt2", {"n_inner": 10**9}),
        ("gpt2", {"vocab_size": 10**9}),
        ("gpt2", {"quantization_config": 5}),
        ("gpt2", {"dtype": "float99"}),
        ("llama", {"num_attention_heads": 0}),
        ("llama", {"max_position_embeddings": "long"}),
        ("llama", {"rms_norm_eps": "small"}),
        ("llama", {"rope_parameters": {"rope_type": "nonsense", "rope_theta": 1e4}}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 0}}),
        ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 0}}),
        ("llama", {"rope_parameters": {"rope_type": "yarn"}}),
        ("t5", {"decoder_start_token_id": None}),
        ("t5", {"decoder_start_token_id": 10**6}),
        ("t5", {"relative_attention_num_buckets": 0}),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_is_refused(folder, family, values):
    with pytest.raises((BackboneError, NumericalError)):
        load_backbone(configure(folder(family), **values))


def test_a_width_beyond_the_file_is_refused_before_memory_is_taken(folder, monkeypatch):
    path = configure(folder("llama"), hidden_size=65536, intermediate_size=65536)
    monkeypatch.setattr(
        "transplant.backbones.stored.load_whole", lambda *_a, **_k: pytest.fail("built")
    )
    with pytest.raises(BackboneError, match=r"numbers, which the file holds"):
        load_backbone(path)


def test_a_token_without_an_embedding_is_refused_by_name(folder):
    path = folder("gpt2")
    token = {"id": 5000, "content": "<late>", "special": True, "single_word": False}
    token |= {"lstrip": False, "rstrip": False, "normalized": False}
    edit(path / "tokenizer.json", lambda held: held["added_tokens"].append(token))
    with pytest.raises(BackboneError, match="'<late>' has no embedding"):
        load_backbone(path)


def test_a_table_shorter_than_the_vocabulary_is_refused(folder):
    path = configure(folder("llama"), vocab_size=200)
    names = ("model.embed_tokens.weight", "lm_head.weight")
    reweigh(path, lambda t: t.update({name: t[name][:200].clone() for name in names}))
    with pytest.raises(BackboneError, match="has no embedding"):
        load_backbone(path)


@pytest.mark.parametrize("device", ["meta", "cuda:99", "banana", "", "cpu:7", "hpu", "lazy"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(device):
    with pytest.raises(InputError, match="is not to be had here"):
        load_backbone("./no-such-folder", device=device)


def test_the_message_names_the_field_and_what_it_holds(folder):
    with pytest.raises(BackboneError, match=r"n_layer.*expected int, got list"):
        load_backbone(configure(folder("gpt2"), n_layer=[1]))
