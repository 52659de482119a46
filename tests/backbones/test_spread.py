"""Backbones over devices and the disk: the same states, the same fingerprint, named errors."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import accelerate.utils
import pytest
import torch

from tests.tiny import tiny_model
from transplant.backbones.arithmetic import cast
from transplant.backbones.load import load_backbone
from transplant.backbones.spread import is_offloaded, pinned
from transplant.errors import BackboneError, InputError
from transplant.modules.hosted import HostedModel
from transplant.surgery.bank.extract import extract
from transplant.text.windows import Window
from transplant.training.update import duplicate

WINDOW = Window([*range(5, 25)], range(1, 21), 0)
AWAY = {"": "disk"}


@pytest.fixture
def saved(tmp_path, tiny_tokenizer):
    def save(family: str, dtype: torch.dtype = torch.float32):
        cast(tiny_model(family, tiny_tokenizer), dtype).save_pretrained(tmp_path / family)
        tiny_tokenizer.save_pretrained(tmp_path / family)
        return tmp_path / family

    return save


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("dtype", ["auto", "float32"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "t5", "gemma3_text", "layercake"])
def test_layers_on_the_disk_give_the_same_states_and_the_same_fingerprint(saved, family, dtype):
    path = saved(family, torch.bfloat16)
    near, far = (
        load_backbone(path, dtype=dtype, device_map=device_map) for device_map in (None, AWAY)
    )
    assert (is_offloaded(near.model), is_offloaded(far.model)) == (False, True)
    assert far.dtype == near.dtype == (torch.bfloat16 if dtype == "auto" else torch.float32)
    taps = near.all_taps
    with far.frozen():
        ours, theirs = far.read([WINDOW], taps), near.read([WINDOW], taps)
    for tap in taps:
        assert torch.equal(ours.taps[tap], theirs.taps[tap])
    assert torch.equal(far.head(ours.h_last), near.head(theirs.h_last))
    assert not far.unembedding.is_meta
    assert far.weights_sha256 == near.weights_sha256


@pytest.mark.usefixtures("bfloat16")
def test_no_two_passes_over_what_is_on_the_disk_meet(saved, monkeypatch):
    align, held, met = accelerate.utils.align_module_device, threading.Lock(), []

    @contextmanager
    def slowly(*words, **options):
        met.append(not held.acquire(blocking=False))
        with align(*words, **options):
            time.sleep(2e-3)
            yield
        if not met[-1]:
            held.release()

    monkeypatch.setattr(accelerate.utils, "align_module_device", slowly)
    load_backbone(saved("llama", torch.bfloat16), device_map=AWAY)
    assert met
    assert not any(met)


def test_what_memory_does_not_hold_goes_to_the_disk(saved):
    path = saved("llama")
    backbone = load_backbone(path, device_map="auto", max_memory={"cpu": "120KB"})
    where = {name: p.is_meta for name, p in backbone.model.named_parameters()}
    assert where["model.layers.1.mlp.up_proj.weight"]
    assert not where["model.layers.0.self_attn.q_proj.weight"]
    assert not is_offloaded(load_backbone(path, device_map="auto").model)
    hosted, plain = HostedModel("far", backbone), HostedModel("near", load_backbone(path))
    ids = torch.tensor([WINDOW.ids])
    assert torch.equal(
        hosted.generate(ids, max_new_tokens=3), plain.generate(ids, max_new_tokens=3)
    )


def test_float32_of_gemma_3_is_the_same_by_a_cast_as_by_loading_it(saved):
    """The factor on its embeddings is computed in the type that it is built in."""
    from transformers import AutoModelForCausalLM

    path = saved("gemma3_text", torch.bfloat16)
    ids = torch.tensor([WINDOW.ids])
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)(ids).logits
        found = load_backbone(path, dtype="float32").model(ids).logits
    assert torch.equal(found, expected)


def test_the_head_stays_on_the_first_device_whatever_the_map_says(tiny_tokenizer):
    model = tiny_model("llama", tiny_tokenizer)
    found = pinned(model, {"model": "disk", "lm_head": "disk"})
    assert (found["model.embed_tokens"], found["lm_head"]) == ("cpu", "cpu")
    assert {found[f"model.{name}"] for name in ("layers", "norm", "rotary_emb")} == {"disk"}
    assert pinned(model, {"": 1})["lm_head"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device_map": "everywhere"}, "`device_map`.*auto, balanced"),
        ({"device_map": {"": "disk"}, "max_memory": {"cpu": "1GB"}}, "`max_memory`"),
        ({"device_map": "auto", "max_memory": {"cpu": "much"}}, "10GiB"),
        ({"max_memory": {"cpu": "1GB"}}, "`max_memory` has no use"),
        ({"offload_folder": "there"}, "`offload_folder` has no use"),
    ],
)
def test_a_map_that_cannot_be_is_refused_before_anything_is_read(options, said):
    with pytest.raises(InputError, match=said):
        load_backbone("./no-such-folder", **options)


def test_a_module_that_is_not_there_is_a_named_error(saved):
    with pytest.raises((BackboneError, InputError), match="gpt2"):
        load_backbone(saved("gpt2"), device_map={"model.layers": "disk"})


def test_what_needs_all_weights_says_so(saved):
    backbone = load_backbone(saved("llama"), device_map=AWAY)
    for needs in (lambda: extract(backbone, ("heads",)), lambda: duplicate(backbone)):
        with pytest.raises(BackboneError, match=r"needs all weights.*without `device_map`"):
            needs()
