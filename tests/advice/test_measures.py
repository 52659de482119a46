"""The measurements behind advice, on cases whose answer is known."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from tests.tiny import permuted_twin, rotated_twin, tiny_backbone
from transplant.advice.domains import correction_cosine, unigram_divergence
from transplant.advice.impact import ablation_impact
from transplant.advice.taps import measure_alignment, read_tap, spread_taps
from transplant.modules.correction import Correction
from transplant.modules.forms import MlpModule
from transplant.modules.interface import Interface
from transplant.text.windows import cut_windows


def orthogonal(width: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(3)))[0]


def aligned(donor, target, corpus, most=9):
    return measure_alignment(donor, target, corpus[:40], corpus[40:], most)


def test_a_rotated_twin_is_aligned_layer_by_layer(tiny_tokenizer, tiny_corpus):
    donor = tiny_backbone("llama", tiny_tokenizer, tie_word_embeddings=False)
    twin = rotated_twin(donor, orthogonal(32))
    found = aligned(donor, twin, tiny_corpus)
    same = {pair.donor: pair for pair in found.pairs if pair.donor == pair.target}
    assert all(pair.r2 > 0.99 and pair.cosine > 0.99 for pair in same.values())
    other = [pair.r2 for pair in found.pairs if (pair.donor, pair.target) == (2, 0)]
    assert other[0] < 0.9  # layers are told apart
    assert found.r2 > 0.98
    assert found.paired_share == 1.0
    assert found.shared_cosine is None  # no cores


def test_a_backbone_of_noise_is_not_aligned(tiny_tokenizer, tiny_corpus, monkeypatch):
    donor = tiny_backbone("gpt2", tiny_tokenizer)
    noise = tiny_backbone("llama", tiny_tokenizer)
    read, draw = type(noise).run, torch.Generator().manual_seed(0)

    def noisy(self, windows, taps=()):
        states = read(self, windows, taps)
        if self is noise:
            for tap in states.taps:
                states.taps[tap].normal_(generator=draw)
        return states

    monkeypatch.setattr(type(noise), "run", noisy)
    found = aligned(donor, noise, tiny_corpus)
    assert found.r2 < 0.05
    assert max(pair.r2 for pair in found.pairs) < 0.05


def test_only_cores_of_one_space_are_the_same_as_they_are(tiny_tokenizer, tiny_corpus):
    donor = tiny_backbone("layercake", tiny_tokenizer)
    straight, crossed = torch.arange(32), torch.arange(31, -1, -1)
    same = permuted_twin(donor, crossed, torch.arange(16))
    other = permuted_twin(donor, straight, torch.arange(15, -1, -1))
    assert aligned(donor, same, tiny_corpus).shared_cosine == pytest.approx(1.0, abs=1e-4)
    found = aligned(donor, other, tiny_corpus).shared_cosine
    assert found is not None
    assert found < 0.5


def test_layers_are_spread_and_the_one_that_modules_read_is_there(tiny_tokenizer):
    backbone = tiny_backbone("llama", tiny_tokenizer, num_hidden_layers=7)
    assert spread_taps(backbone, 9) == tuple(range(8))
    assert spread_taps(backbone, 3) == (0, 4, 7)
    assert spread_taps(backbone, 1) == (7,)
    core = tiny_backbone("layercake", tiny_tokenizer)
    assert spread_taps(core, 9)[-1] == read_tap(core) == core.n_layers - 1


def test_a_part_that_adds_nothing_is_worth_nothing(tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    with torch.no_grad():
        for parameter in backbone.model.transformer.h[1].mlp.c_proj.parameters():
            parameter.zero_()
        backbone.model.transformer.h[0].mlp.c_proj.weight.mul_(5.0)
    windows = cut_windows(tiny_corpus[:3], tiny_tokenizer, 40)
    with backbone.frozen():
        found = ablation_impact(backbone, windows)
    assert set(found) == {f"block.{n}.{part}" for n in (0, 1) for part in ("attn", "mlp")}
    assert found["block.1.mlp"] == pytest.approx(0.0, abs=1e-5)
    assert abs(found["block.0.mlp"]) > 1e-2


def test_parts_without_names_have_no_impact(tiny_tokenizer, tiny_corpus):
    windows = cut_windows(tiny_corpus[:1], tiny_tokenizer, 40)
    assert ablation_impact(tiny_backbone("phi", tiny_tokenizer), windows) == {}


def test_divergence_is_zero_of_one_text_and_log_two_of_strangers():
    text = Counter({1: 5, 2: 3, 7: 2})
    assert unigram_divergence(text, Counter({1: 10, 2: 6, 7: 4})) == pytest.approx(0.0, abs=1e-12)
    assert unigram_divergence(text, Counter({3: 1})) == pytest.approx(math.log(2))
    some = unigram_divergence(text, Counter({1: 5, 3: 5}))
    assert 0.0 < some < math.log(2)
    assert unigram_divergence(Counter({1: 5, 3: 5}), text) == pytest.approx(some)


def test_corrections_are_compared_by_their_direction(tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    windows = cut_windows(tiny_corpus[:2], tiny_tokenizer, 40)

    def correction(seed: int, sign: float = 1.0) -> Correction:
        draw = torch.Generator().manual_seed(seed)
        interface = Interface(backbone.d_model, 8, (2,), generator=draw)
        with torch.no_grad():
            interface.proj_out.weight.normal_(generator=draw).mul_(sign)
        return Correction(interface, MlpModule(8, generator=draw))

    one = correction(0)
    assert correction_cosine(backbone, one, correction(0), windows) == pytest.approx(1.0, abs=1e-5)
    opposite = correction_cosine(backbone, one, correction(0, -3.0), windows)
    assert opposite == pytest.approx(-1.0, abs=1e-5)
    assert abs(correction_cosine(backbone, one, correction(1), windows)) < 0.9
