"""Weights that are stored quantised: never cast, and named where they cannot be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from tests.tiny import tiny_model
from transplant.backbones import memory
from transplant.backbones.arithmetic import cast
from transplant.backbones.load import load_backbone
from transplant.errors import BackboneError


@pytest.fixture
def packed(tmp_path, tiny_tokenizer):
    """Saves a tiny model in bfloat16, said to be quantised by a method."""

    def save(**method):
        cast(tiny_model("llama", tiny_tokenizer), torch.bfloat16).save_pretrained(tmp_path)
        tiny_tokenizer.save_pretrained(tmp_path)
        file = tmp_path / "config.json"
        file.write_text(
            json.dumps({**json.loads(file.read_bytes()), "quantization_config": method})
        )
        return tmp_path

    return save


@pytest.fixture
def method(monkeypatch):
    """A way to pack weights that `transformers` can read anywhere: it leaves them as they are."""
    from transformers.quantizers import auto
    from transformers.quantizers.base import HfQuantizer
    from transformers.utils.quantization_config import QuantizationConfigMixin

    class Config(QuantizationConfigMixin):
        def __init__(self, quant_method="plain-test", **_):
            self.quant_method = quant_method

    class Quantizer(HfQuantizer):
        requires_calibration = False

        def is_serializable(self, *_, **__):
            return True

        @property
        def is_trainable(self):
            return False

    known: Any = auto
    for table, made in (
        (known.AUTO_QUANTIZATION_CONFIG_MAPPING, Config), (known.AUTO_QUANTIZER_MAPPING, Quantizer),
    ):  # fmt: skip
        monkeypatch.setitem(table, "plain-test", made)
    return "plain-test"


@pytest.mark.parametrize("dtype", ["auto", "float32", "float16"])
def test_packed_weights_are_never_cast_and_a_note_says_so(packed, method, dtype):
    backbone = load_backbone(packed(quant_method=method), dtype=dtype)
    assert {p.dtype for p in backbone.model.parameters()} == {torch.bfloat16}
    (note,) = backbone.notes
    assert "stored quantised (plain-test): its weights are never cast" in note
    assert (dtype in note) == (dtype != "auto")


def test_memory_is_asked_for_packed_weights_as_they_are_stored(packed, method, monkeypatch):
    path = packed(quant_method=method)
    numbers = sum(parameter.numel() for parameter in load_backbone(path).model.parameters())
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * numbers)
    load_backbone(path, dtype="float32")
    monkeypatch.setattr(memory, "available_memory", lambda: numbers)
    with pytest.raises(BackboneError, match="as it is stored.*does not fit"):
        load_backbone(path, dtype="float32")


@pytest.mark.parametrize(
    "method",
    [
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        {"quant_method": "gptq", "bits": 4}, {"quant_method": "awq", "bits": 4},
        {"quant_method": "unheard-of"}, {},
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_what_cannot_be_read_is_named_with_its_method(packed, method, dtype):
    name = method.get("quant_method", "quantised")
    with pytest.raises(BackboneError, match=r"stored quantised.*cannot be loaded here") as caught:
        load_backbone(packed(**method), dtype=dtype)
    assert name in str(caught.value)
    assert caught.value.hint


def test_a_head_that_is_packed_too_is_refused(packed, method, monkeypatch):
    from transplant.backbones import stored

    def eighth(*args, **options):
        model, unexpected = whole(*args, **options)
        model.lm_head.weight = torch.nn.Parameter(
            torch.zeros(model.lm_head.weight.shape, dtype=torch.int8), requires_grad=False
        )
        return model, unexpected

    whole = stored.load_whole
    monkeypatch.setattr(stored, "load_whole", eighth)
    with pytest.raises(BackboneError, match=r"the head of .* is quantised, too \(plain-test\)"):
        load_backbone(packed(quant_method=method))
