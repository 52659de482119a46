"""The identities of an adapter inside a basis, each beside a control that breaks it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from tests.basis.tiny_basis import rows_one_by_one
from tests.tiny import tiny_backbone
from transplant.basis.adapter import BasisAdapter, adapter_of
from transplant.basis.config import AdaptConfig, FitConfig
from transplant.basis.fit import fit_basis
from transplant.basis.maps import select_maps
from transplant.basis.train import mean_loss, train_inside
from transplant.errors import CorruptError
from transplant.surgery.lora.folder import read_lora
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.match import match_lora
from transplant.surgery.lora.merge import merged
from transplant.surgery.lora.peft_folder import write_peft

FAMILIES = ["gpt2", "llama", "gemma3_text", "t5"]


@pytest.fixture(scope="module", params=FAMILIES)
def adapted(request, backbones, windows):
    """A backbone, its maps, their spectra, and an adapter of rank 5 with random C."""
    backbone = backbones(request.param)
    maps = select_maps(backbone)
    basis = fit_basis(backbone, maps, windows, FitConfig(max_rank=8))
    adapter = adapter_of(maps, basis, dict.fromkeys(basis.spectra, 5))
    generator = torch.Generator().manual_seed(1)
    for c in adapter.c:
        c.data.copy_(torch.randn(c.shape, generator=generator) * 0.3)
    return backbone, maps, basis, adapter


def delta(adapter: BasisAdapter, name: str) -> torch.Tensor:
    return adapter.as_lora().pairs[name].delta.double()


def test_logits_are_unchanged_at_step_0(adapted, windows):
    backbone, maps, basis, other = adapted
    fresh = adapter_of(maps, basis, dict.fromkeys(basis.spectra, 5))
    raw = backbone.head(backbone.read(windows).h_last)
    with fresh.attached(maps):
        assert torch.equal(backbone.head(backbone.read(windows).h_last), raw)
    with other.attached(maps):  # control
        assert not torch.allclose(backbone.head(backbone.read(windows).h_last), raw, atol=1e-3)
    assert torch.equal(backbone.head(backbone.read(windows).h_last), raw)  # hooks are gone


def test_the_mean_square_of_the_change_is_that_of_c(adapted, windows):
    backbone, maps, _, adapter = adapted
    for of, c in zip(maps, adapter.c, strict=True):
        x, _ = rows_one_by_one(backbone, of, windows)
        change = (x @ delta(adapter, of.name).T).square().sum(1).mean()
        assert float(change) == pytest.approx(float(c.detach().square().sum()), rel=1e-3)
        shifted = x[: len(x) // 4] * 2  # control: other data
        other = (shifted @ delta(adapter, of.name).T).square().sum(1).mean()
        assert float(other) != pytest.approx(float(c.detach().square().sum()), rel=1e-2)


def test_the_truncated_map_misses_the_dropped_energies(adapted, windows):
    backbone, maps, basis, adapter = adapted
    for of in maps[::3]:
        s, spectrum = adapter.subspaces[of.name], basis.spectra[of.name]
        best = (s.u.double() * spectrum.scales[:5]) @ s.r.double()  # B D R
        x, y = rows_one_by_one(backbone, of, windows)
        error = float((y - x @ best.T).square().sum(1).mean())
        assert error == pytest.approx(spectrum.error(5), rel=1e-4, abs=1e-7)
        plain = torch.linalg.svd(of.weight.double())  # control: the SVD of W knows no data
        cut = (plain.U[:, :5] * plain.S[:5]) @ plain.Vh[:5]
        assert float((y - x @ cut.T).square().sum(1).mean()) > 1.001 * error


def test_the_change_stays_inside_the_basis(adapted):
    _, maps, _, adapter = adapted
    for of in maps:
        u, change = adapter.subspaces[of.name].u.double(), delta(adapter, of.name)
        assert torch.allclose(u @ (u.T @ change), change, atol=1e-6)
        free = change + 1e-2 * torch.randn(change.shape, dtype=torch.float64)  # control
        assert not torch.allclose(u @ (u.T @ free), free, atol=1e-3)


def test_attached_is_what_the_lora_computes_and_a_merge_computes(adapted, windows):
    backbone, maps, _, adapter = adapted
    with adapter.attached(maps):
        ours = backbone.head(backbone.read(windows).h_last)
    with LoraModel("a@b", backbone, adapter.as_lora()).inside():
        hosted = backbone.head(backbone.read(windows).h_last)
    whole = merged("m", backbone, adapter.as_lora())
    assert torch.allclose(ours, hosted, atol=1e-4)
    assert torch.allclose(ours, whole.head(whole.read(windows).h_last), atol=1e-3)


def test_parts_are_read_back_and_a_lost_one_is_noticed(adapted):
    *_, adapter = adapted
    tensors = adapter.as_tensors()
    again = BasisAdapter.from_tensors(tensors)
    assert all(torch.equal(t, again.as_tensors()[name]) for name, t in tensors.items())
    assert again.trainable == adapter.trainable == 25 * len(adapter.names)
    lost = next(name for name in tensors if name.endswith(".R"))
    with pytest.raises(CorruptError):
        BasisAdapter.from_tensors({n: t for n, t in tensors.items() if n != lost})


def test_training_moves_c_alone_and_lowers_the_loss(backbones, windows):
    backbone = backbones("llama")
    maps = select_maps(backbone)
    basis = fit_basis(backbone, maps, windows, FitConfig(max_rank=8))
    adapter = adapter_of(maps, basis, {m.name: 6 for m in maps[:5]})
    assert len(adapter.names) == 5
    frozen = {name: (s.u.clone(), s.r.clone()) for name, s in adapter.subspaces.items()}
    config = AdaptConfig(steps=30, batch=4, learning_rate=2e-2, evaluate_every=10)
    before = mean_loss(backbone, windows)
    with backbone.frozen(), adapter.attached(maps):
        course = train_inside(backbone, adapter, windows, windows, config)
        assert mean_loss(backbone, windows) == pytest.approx(course.best_loss)
    assert course.history[0][1] == pytest.approx(before)
    assert course.best_loss < before - 0.05
    for name, (u, r) in frozen.items():
        assert torch.equal(u, adapter.subspaces[name].u)
        assert torch.equal(r, adapter.subspaces[name].r)


PEFT = """
import json, sys, torch
from peft import PeftModel
import transformers
folder, adapter, inputs = sys.argv[1:]
several = transformers.AutoConfig.from_pretrained(folder).is_encoder_decoder
base = transformers.AutoModelForSeq2SeqLM if several else transformers.AutoModelForCausalLM
model = PeftModel.from_pretrained(base.from_pretrained(folder), adapter).eval()
with torch.no_grad():
    inputs = {name: torch.tensor([ids]) for name, ids in json.loads(inputs).items()}
    logits = model(**inputs).logits[0]
print(json.dumps(logits.tolist()))
"""


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2", "t5"])
def test_peft_loads_the_folder_in_a_fresh_process_with_equal_logits(
    tmp_path, tiny_tokenizer, windows, family
):
    pytest.importorskip("peft")
    backbone = tiny_backbone(family, tiny_tokenizer)
    maps = select_maps(backbone)
    basis = fit_basis(backbone, maps, windows, FitConfig(max_rank=8))
    ranks = {m.name: 2 + number % 4 for number, m in enumerate(maps)}  # unequal ones
    adapter = adapter_of(maps, basis, ranks)
    for c in adapter.c:
        torch.nn.init.normal_(c, std=0.3)
    update = adapter.as_lora()
    (tmp_path / "peft").mkdir()
    write_peft(tmp_path / "peft", update, backbone, base="none", revision=None)
    backbone.model.save_pretrained(tmp_path / "model")
    inputs = {"input_ids": list(windows[0].ids)}
    if backbone.model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = list(windows[1].ids)
    ran = subprocess.run(
        [sys.executable, "-c", PEFT, tmp_path / "model", tmp_path / "peft", json.dumps(inputs)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    theirs = torch.tensor(json.loads(ran.stdout.splitlines()[-1]))
    tensors = {name: torch.tensor([ids]) for name, ids in inputs.items()}
    with torch.no_grad():
        raw = backbone.model(**tensors).logits[0]
        with LoraModel("a@b", backbone, update).inside():
            ours = backbone.model(**tensors).logits[0]
    assert (ours - theirs).abs().max() < 1e-4
    assert (raw - theirs).abs().max() > 1e-2  # control
    again = match_lora(read_lora(tmp_path / "peft"), backbone)
    assert again.scales() == update.scales()
