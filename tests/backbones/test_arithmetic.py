"""The type in which a backbone computes: chosen and cast, with one fingerprint for all of them."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_model
from transplant import Workspace
from transplant.backbones import arithmetic, memory
from transplant.backbones.arithmetic import cast, choose_dtype, stored_dtype
from transplant.backbones.load import load_backbone
from transplant.dtypes import NAMES, dtype_name
from transplant.errors import BackboneError, InputError
from transplant.ranks import Ranks
from transplant.text.windows import Window

CPU = torch.device("cpu")


@pytest.fixture
def multiplying(monkeypatch):
    """Sets what the processor is said to multiply."""

    def set_to(*names: str) -> None:
        capabilities = dict.fromkeys(names, True)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    set_to("avx512_bf16")
    return set_to


@pytest.fixture
def saved(tmp_path, tiny_tokenizer):
    """Saves a tiny model in a type."""

    def save(family: str, dtype: torch.dtype):
        path = tmp_path / f"{family}-{dtype}"
        cast(tiny_model(family, tiny_tokenizer), dtype).save_pretrained(path)
        tiny_tokenizer.save_pretrained(path)
        return path

    return save


@pytest.mark.parametrize(
    ("given", "name"),
    [(None, "auto"), *((name, name) for name in NAMES), (torch.bfloat16, "bfloat16"),
     ("torch.float16", "float16")],
)  # fmt: skip
def test_a_type_is_known_by_each_of_its_names(given, name):
    assert dtype_name(given) == dtype_name(None, given) == dtype_name("auto", given) == name
    assert Workspace(library=..., torch_dtype=given).dtype == name  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("given", ["float12", "bf16", torch.int8, 7, ""])
def test_another_name_is_refused(given):
    with pytest.raises(InputError, match=r"unknown `dtype`.*bfloat16"):
        dtype_name(given)
    with pytest.raises(InputError):
        Workspace(library=..., dtype=given)  # pyright: ignore[reportArgumentType]


def test_two_types_at_once_are_refused():
    with pytest.raises(InputError, match="differ"):
        dtype_name("float32", torch.bfloat16)


@pytest.mark.parametrize(
    ("stored", "instructions", "chosen"),
    [
        (torch.float32, (), torch.float32), (torch.bfloat16, (), torch.float32),
        (torch.bfloat16, ("amx_bf16",), torch.bfloat16), (torch.float64, (), torch.float32),
        (torch.bfloat16, ("bf16",), torch.bfloat16),  # ARM
        (torch.float16, ("avx512_bf16",), torch.float32),
        (torch.float16, ("avx512_fp16",), torch.float32),
    ],
)  # fmt: skip
def test_auto_is_the_stored_type_where_it_is_multiplied(multiplying, stored, instructions, chosen):
    multiplying(*instructions)
    assert choose_dtype("auto", stored, CPU) == chosen


def test_auto_is_float32_where_torch_does_not_tell_what_is_multiplied(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_dtype("auto", torch.bfloat16, CPU) == torch.float32


def test_bfloat16_asked_of_a_processor_without_it_is_a_named_error(saved, multiplying):
    path = saved("gpt2", torch.bfloat16)
    multiplying("avx2")
    with pytest.raises(
        InputError, match=r"this cpu has no instructions.*float32, or auto.*Try: `dtype='auto'`"
    ):
        load_backbone(path, dtype="bfloat16")
    assert load_backbone(path).dtype == torch.float32
    (note,) = load_backbone(path, dtype="float16").notes  # slow, not wrong
    assert "float32 is faster" in note


def test_memory_is_asked_for_the_type_that_auto_takes(saved, multiplying, monkeypatch):
    path = saved("llama", torch.bfloat16)
    numbers = sum(parameter.numel() for parameter in load_backbone(path).model.parameters())
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * numbers)
    assert load_backbone(path).dtype == torch.bfloat16  # two bytes each
    multiplying("avx2")
    with pytest.raises(BackboneError, match=r"in float32 \(BF16 in.*does not fit") as caught:
        load_backbone(path)
    assert "`dtype" not in str(caught.value.hint)  # nothing narrower is to be had


@pytest.mark.parametrize(
    ("ranks", "local", "device", "own"),
    [
        (Ranks(), "1", "cuda", "cuda"), (Ranks(1, 4), "1", "cuda", "cuda:1"),
        (Ranks(5, 8), "1", "cuda", "cuda:1"), (Ranks(3, 4), "3", "cuda", "cuda:1"),
        (Ranks(1, 2), None, "cuda", "cuda:1"), (Ranks(1, 4), "1", "cuda:0", "cuda:0"),
        (Ranks(1, 4), "1", "cpu", "cpu"),
    ],
)  # fmt: skip
def test_each_process_of_a_job_has_a_gpu_of_its_own(monkeypatch, ranks, local, device, own):
    monkeypatch.setattr(arithmetic, "current", lambda: ranks)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    if local is None:
        monkeypatch.delenv("LOCAL_RANK", raising=False)
    else:
        monkeypatch.setenv("LOCAL_RANK", local)
    assert str(arithmetic.own_of_rank(torch.device(device))) == own


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5", "layercake", "gpt_neox"])
def test_a_fingerprint_is_that_of_the_stored_weights_in_any_type(saved, multiplying, family):
    multiplying("avx512_bf16", "avx512_fp16")
    path = saved(family, torch.bfloat16)
    loaded = {name: load_backbone(path, dtype=name) for name in NAMES}
    assert len({b.weights_sha256 for b in loaded.values()}) == 1
    assert loaded["auto"].dtype == torch.bfloat16
    rounded = {name: stored_dtype(loaded[name].model) for name in NAMES if name != "auto"}
    assert rounded == arithmetic.DTYPES
    window = Window([*range(5, 25)], range(1, 21), 0)
    h = {name: b.read([window]).h_last.float() for name, b in loaded.items()}
    scale = h["float32"].abs().max()
    assert (h["bfloat16"] - h["float32"]).abs().max() < 0.1 * scale
    assert not torch.equal(h["bfloat16"], h["float32"])


@pytest.mark.usefixtures("bfloat16")
def test_frequencies_of_rotary_positions_are_not_rounded(saved):
    backbone = load_backbone(saved("llama", torch.float32), dtype="bfloat16")
    buffers = dict(backbone.model.named_buffers())
    frequencies = buffers["model.rotary_emb.inv_freq"]
    assert frequencies.dtype == torch.float32
    assert {p.dtype for p in backbone.model.parameters()} == {torch.bfloat16}


def test_half_precision_keeps_wide_what_the_family_says(saved):
    backbone = load_backbone(saved("t5", torch.float32), dtype="float16")
    wide = {n for n, p in backbone.model.named_parameters() if p.dtype == torch.float32}
    assert wide
    assert all(".wo." in name for name in wide)


@pytest.mark.usefixtures("bfloat16")
def test_tied_weights_stay_tied(saved):
    model = load_backbone(saved("gpt2", torch.float32), dtype="bfloat16").model
    assert model.lm_head.weight is model.transformer.wte.weight


def test_auto_is_a_device(saved):
    backbone = load_backbone(saved("gpt2", torch.float32), device="auto")
    assert backbone.device.type == arithmetic.best_device()
