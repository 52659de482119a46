"""Folders that PEFT has saved, read without PEFT: what they change, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import torch

from tests.surgery.lora.folders import PREFIX, gpt2_tensors, write_folder
from tests.tiny import tiny_backbone
from transplant.errors import (
    CorruptError,
    InputError,
    NotFoundError,
    NumericalError,
    ShapeError,
    TransplantError,
)
from transplant.surgery.lora.folder import read_lora
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.match import match_lora
from transplant.surgery.lora.merge import merged
from transplant.surgery.lora.settings import LoraSettings
from transplant.surgery.lora.update import LoraUpdate, Pair

IDS = torch.arange(12)[None]


@pytest.fixture(scope="module")
def backbone(tiny_tokenizer):
    return tiny_backbone("gpt2", tiny_tokenizer)


@torch.no_grad()
def test_an_adapted_map_adds_scale_b_a_x(tmp_path, backbone):
    """Against the formula itself, on the one map that is adapted."""
    tensors = gpt2_tensors(layers=1)
    write_folder(tmp_path, tensors, target_modules=["h.0.attn.c_attn"])
    update = match_lora(read_lora(tmp_path), backbone)
    a, b = tensors.values()
    x = torch.randn(3, 5, 32)
    module = backbone.model.transformer.h[0].attn.c_attn
    plain = module(x)
    with LoraModel("it", backbone, update).inside():
        found = module(x)
    torch.testing.assert_close(found, plain + 3.0 * x @ a.T @ b.T, rtol=1e-5, atol=1e-5)
    assert torch.equal(module(x), plain)
    other = merged("new", backbone, update).model.transformer.h[0].attn.c_attn
    torch.testing.assert_close(other(x), found, rtol=1e-5, atol=1e-5)


def test_it_is_the_same_from_its_tensors_and_scales(tmp_path, backbone):
    update = match_lora(read_lora(write_folder(tmp_path)), backbone)
    again = LoraUpdate.from_tensors(update.as_tensors(), update.scales())
    with torch.no_grad():
        found, expected = (
            LoraModel("it", backbone, u)(input_ids=IDS).logits for u in (again, update)
        )
    assert torch.equal(found, expected)
    lost = dict(list(update.as_tensors().items())[:-1])
    with pytest.raises(CorruptError, match="lacks a tensor"):
        LoraUpdate.from_tensors(lost, update.scales())
    with pytest.raises(CorruptError, match="without a scale"):
        LoraUpdate.from_tensors(update.as_tensors(), {})


@pytest.mark.parametrize("stored", [torch.float32, torch.float8_e4m3fn])
def test_the_head_is_in_one_place_with_the_backbones_whole_or_added(
    stored, tiny_tokenizer, monkeypatch
):
    """Meta tensors stand for those of an accelerator: no sum takes one of either place."""
    base = tiny_backbone("llama", tiny_tokenizer)
    vocab, width = base.unembedding.shape
    a, b, bias = torch.ones(2, width), torch.ones(vocab, 2), torch.ones(vocab)
    pair = Pair(a.to(stored), b.to(stored), bias.to(stored), 0.5)
    whole = {"lm_head.weight": torch.ones(vocab, width), "lm_head.bias": 3 * bias}
    added, replaced = LoraUpdate({"lm_head": pair}, {}), LoraUpdate({}, whole)
    both = LoraUpdate({"lm_head": pair}, whole)
    for update, expected in ((added, 0.5), (replaced, 3.0), (both, 3.5)):
        head = LoraModel("it", base, update).head
        assert head is not None
        assert torch.equal(head[1], torch.full((vocab,), expected))
    base.model.to("meta")
    monkeypatch.setattr(torch, "equal", lambda *_: False)  # numbers that meta tensors lack
    for update in (added, replaced, both):
        head = LoraModel("it", base, update).head
        assert head is not None
        assert [part.device.type for part in head] == ["meta", "meta"]


def test_the_hooks_are_gone_after_a_failure(tmp_path, backbone):
    model = LoraModel("it", backbone, match_lora(read_lora(write_folder(tmp_path)), backbone))
    hooked = []

    def fail():
        with model.inside():
            hooked.extend(m for m in backbone.model.modules() if m._forward_hooks)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert len(hooked) == 2
    assert not any(module._forward_hooks for module in backbone.model.modules())


def missing(tensors):
    tensors.pop(f"{PREFIX}transformer.h.1.attn.c_attn.lora_B.weight")


def unmatched(tensors):
    tensors[f"{PREFIX}transformer.h.7.attn.c_attn.lora_A.weight"] = torch.zeros(2, 32)


def reshaped(tensors):
    tensors[f"{PREFIX}transformer.h.1.attn.c_attn.lora_A.weight"] = torch.zeros(2, 31)


def infinite(tensors):
    next(iter(tensors.values()))[0, 0] = float("inf")


def twice(tensors):
    first, tensor = next(iter(tensors.items()))
    tensors[first.replace(".lora_A", ".base_layer.lora_A")] = tensor.clone()


def strange(tensors):
    tensors["lora_A.weight"] = torch.zeros(1)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (missing, InputError, r"1 of its keys are missing.*h\.1\.attn\.c_attn\.lora_B"),
        (unmatched, InputError, r"1 of its keys have no place.*h\.7\.attn"),
        (reshaped, ShapeError, r"h\.1\.attn\.c_attn\.lora_A\.weight: \[2, 32\] against \[2, 31\]"),
        (infinite, NumericalError, "NaN or infinity"),
        (strange, InputError, "does not write"),
        (twice, InputError, "two keys for transformer.h.0.attn.c_attn.lora_A"),
    ],
)
def test_every_key_has_its_place_and_every_place_its_key(tmp_path, backbone, change, kind, message):
    tensors = gpt2_tensors()
    match_lora(read_lora(write_folder(tmp_path / "whole", tensors)), backbone)
    change(tensors)
    with pytest.raises(kind, match=message):
        match_lora(read_lora(write_folder(tmp_path / "changed", tensors)), backbone)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, "expected LORA, found IA3"),
        ({"use_dora": True}, "use_dora.*DoRA rescales"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"megatron_config": {"a": 1}}, "megatron_config"),
        ({"target_modules": []}, "target_modules: expected names"),
        ({"target_modules": ".*c_attn", "layers_to_transform": 0}, "layers_to_transform and"),
        ({"layers_pattern": "h"}, "layers_to_transform beside it"),
        ({"bias": None}, "lora_only.*found None"),
        ({"r": 2.0}, "cannot be read.*a rank of 2.0"),
        ({"revision": 7}, "cannot be read.*in place of a name"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"init_lora_weights": "pissa"}, "pissa.*path_initial_model_for_weight_conversion"),
        ({"unheard_of": True}, "not known here.*unheard_of"),
        ({"bias": "some"}, "lora_only"),
        ({"r": 0}, "cannot be read"),
        ({"target_modules": "(("}, "expected a regular expression"),
        ({"rank_pattern": {"(a{9": 4, "[": 2}}, "expected a regular expression"),
        ({"target_modules": 5}, "cannot be read.*in place of names"),
        ({"target_modules": {"c_attn": 1}}, "cannot be read.*in place of names"),
        ({"target_modules": ["c_attn", None]}, "cannot be read.*in place of names"),
        ({"r": "8"}, "cannot be read.*a rank of '8'"),
        ({"r": True}, "cannot be read"),
        ({"r": None}, "cannot be read"),
        ({"lora_alpha": None}, "cannot be read.*an alpha of None"),
        ({"lora_alpha": "x"}, "cannot be read"),
        ({"lora_alpha": float("nan")}, "NaN is not JSON"),
        ({"alpha_pattern": {"c_attn": float("inf")}}, "Infinity is not JSON"),
        ({"rank_pattern": [1]}, "cannot be read.*in place of numbers by pattern"),
        ({"use_rslora": "false"}, "cannot be read.*in place of true or false"),
        ({"layers_to_transform": ["0"]}, "cannot be read.*in place of numbers"),
        ({"base_model_name_or_path": 7}, "cannot be read.*in place of a name"),
        ({"bias": ["none"]}, "lora_only"),
        ({"init_lora_weights": {"a": 1}}, "has changed"),
        ({"target_modules": ["c_fc"]}, "have no place"),
        ({"target_modules": ["nowhere"]}, "have no place"),
        ({"rank_pattern": {"h.0.*": 4}}, "against"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(tmp_path, backbone, config, message):
    with pytest.raises(TransplantError, match=message):
        match_lora(read_lora(write_folder(tmp_path, **config)), backbone)


def test_what_is_no_safetensors_folder_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="no such folder"):
        read_lora(tmp_path / "nowhere")
    folder = write_folder(tmp_path / "it")
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CorruptError, match="safetensors"):
        read_lora(folder)
    weights.unlink()
    with pytest.raises(NotFoundError, match="no weights"):
        read_lora(folder)
    (folder / "adapter_model.bin").write_bytes(b"a pickle")
    with pytest.raises(InputError, match=r"pickle is never loaded.*safe_serialization=True"):
        read_lora(folder)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_pipe_a_device_or_a_folder_in_place_of_a_file_is_refused(tmp_path, name):
    """At once: a pipe would wait for its writer. Links to files are followed: a hub has them."""
    makes = {
        "a named pipe": os.mkfifo,
        "a folder": os.mkdir,
        "a device": lambda path: os.symlink("/dev/zero", path),
        "FileNotFoundError": lambda path: os.symlink("nowhere", path),
    }
    for said, make in makes.items():
        folder = write_folder(tmp_path / said.replace(" ", "-"))
        (folder / name).rename(folder / "kept")
        make(folder / name)
        with pytest.raises(CorruptError, match=f"{name}.*expected a regular file, found {said}"):
            read_lora(folder)
    folder = write_folder(tmp_path / "linked")
    (folder / name).rename(tmp_path / "blob")
    (folder / name).symlink_to("../blob")
    assert len(read_lora(folder).tensors) == 4


def test_keys_alone_tell_the_targets_where_the_settings_do_not(tmp_path, backbone):
    folder = write_folder(tmp_path, target_modules=None)
    assert len(match_lora(read_lora(folder), backbone).pairs) == 2


def test_reading_needs_no_peft(tmp_path):
    folder = write_folder(tmp_path)
    code = (
        "import sys; sys.modules['peft'] = None\n"
        "from pathlib import Path\n"
        "import transplant.surgery.lora.hosted, transplant.surgery.lora.merge\n"
        "from transplant.surgery.lora.folder import read_lora\n"
        f"print(len(read_lora(Path({str(folder)!r})).tensors))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["4"]


@pytest.mark.parametrize("key", ["rank_pattern", "alpha_pattern", "target_modules", "layers"])
def test_a_pattern_that_takes_forever_is_refused_in_time(tmp_path, backbone, key):
    endless = r"((.|[a-z])+)+[0-9]{3}"
    config = {key: {endless: 2}} if "pattern" in key else {key: endless}
    if key == "layers":
        config = {"layers_pattern": endless, "layers_to_transform": [0]}
    began = time.monotonic()
    with pytest.raises(InputError, match="takes too long on 'transformer.h"):
        match_lora(read_lora(write_folder(tmp_path, **config)), backbone)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "pattern",
    ["c_attn", "h.0.attn.c_attn", r"h\.[01]\.attn", "attn.*", "x|c_attn", "C_ATTN", "h.1"],
)
def test_patterns_match_as_peft_matches_them(pattern, backbone):
    from peft.utils.other import get_pattern_key

    settings = LoraSettings(rank=2, alpha=1.0, rank_pattern={"other": 3, pattern: 4})
    for name, _ in backbone.model.named_modules():
        assert settings.rank_of(name) == (4 if get_pattern_key([pattern], name) != name
                                          or name == pattern else 2), name  # fmt: skip
