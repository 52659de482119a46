"""Bridges fitted to text: what they must find where a perfect answer is known to exist."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import WIDTH, rotated_twin, tiny_backbone
from transplant.surgery.bank.extract import extract
from transplant.surgery.inject.config import InjectConfig
from transplant.surgery.inject.fit import fit_inward, fit_outward, identity_map, judge
from transplant.surgery.inject.graft import Bare, Graft
from transplant.surgery.inject.hosted import InjectedModel, Injection
from transplant.text.excerpts import cut_excerpts
from transplant.text.windows import cut_windows


@pytest.fixture(scope="module")
def scene(tiny_tokenizer, tiny_corpus):
    """A donor, and a target with its function whose residual stream is turned."""
    donor = tiny_backbone("llama", tiny_tokenizer)
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator))[0]
    target = rotated_twin(donor, turn)
    excerpts = cut_excerpts(tiny_corpus)
    windows = cut_windows(tiny_corpus, tiny_tokenizer, 64)
    return donor, target, turn, (excerpts[:40], excerpts[40:]), (windows[:120], windows[120:])


def graft_of(donor, part):
    return Graft(extract(donor, ("heads", "ffn")).part(part), WIDTH, InjectConfig())


@pytest.mark.parametrize(("part", "site"), [("ffn.1", "mlp"), ("heads.1", "attn"),
                                            ("layer.0", "layer")])  # fmt: skip
def test_a_turn_between_two_backbones_is_found_on_both_ways(scene, part, site):
    donor, target, turn, (fitted, held), (windows, others) = scene
    place = f"block.{part[-1]}.{site}"
    inward = fit_inward(donor, target, place, place, fitted, held, 1e-6)
    assert inward.r2 > 0.999
    torch.testing.assert_close(inward.bridge.weight, turn.T, atol=2e-2, rtol=0.0)
    graft = graft_of(donor, part)
    graft.bridges.set_inward(inward.bridge)
    graft.bridges.set_outward(fit_outward(graft, target, windows, place, 1e-6))
    found = judge(graft, target, others, place)
    assert found.r2 > 0.99
    assert found.cosine > 0.99
    torch.nn.init.ones_(graft.gate.value)
    before = target.read(others[:2]).h_last
    model = InjectedModel("probe", target, [Injection(int(part[-1]), part.split(".")[0], graft)])
    with model.inside():
        torch.testing.assert_close(target.read(others[:2]).h_last, before, atol=0.1, rtol=0.1)


def test_a_random_part_reproduces_less_than_the_right_one(scene, tiny_tokenizer):
    donor, target, _, (fitted, held), (windows, others) = scene
    other = tiny_backbone("llama", tiny_tokenizer, seed=9)
    inward = fit_inward(donor, target, "block.1.mlp", "block.1.mlp", fitted, held, 1e-6)
    explained = {}
    parts = {
        "donor": graft_of(donor, "ffn.1"),
        "random": graft_of(other, "ffn.1"),
        "bare": Graft(Bare(WIDTH), WIDTH, InjectConfig()),
    }
    for name, graft in parts.items():
        graft.bridges.set_inward(inward.bridge)
        graft.bridges.set_outward(fit_outward(graft, target, windows, "block.1.mlp", 1e-6))
        explained[name] = judge(graft, target, others, "block.1.mlp").r2
    assert explained["donor"] > max(explained["random"], explained["bare"]) + 0.1


def test_identity_is_where_nothing_has_to_be_found(scene):
    donor, _, _, _, (_, others) = scene
    graft = graft_of(donor, "heads.0")
    graft.bridges.set_inward(identity_map(WIDTH))
    graft.bridges.set_outward(identity_map(WIDTH))
    found = judge(graft, donor, others, "block.0.attn")
    assert found.mse < 1e-9
    assert found.baseline > 1e-3
