"""Training bridges and gates: only they move, and never to something worse than the start."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.backbones.fingerprint import hash_tensors
from transplant.backbones.parts import block_width
from transplant.surgery.bank.extract import extract
from transplant.surgery.inject.config import BridgeTrainConfig, InjectConfig
from transplant.surgery.inject.fit import judge_streams
from transplant.surgery.inject.graft import Graft
from transplant.surgery.inject.hosted import InjectedModel, Injection
from transplant.surgery.inject.streams import read_stream, read_streams
from transplant.surgery.inject.train import imbalance, mean_shares, train_on_text, train_to_match
from transplant.text.windows import Window, cut_windows

QUICK = BridgeTrainConfig(steps=160, batch=4, learning_rate=2e-2, evaluate_every=40, balance=0.1)


def random_start(graft, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in (graft.bridges.inward, graft.bridges.outward):
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(noise * weight.shape[1] ** -0.5)


@pytest.fixture
def scene(tiny_tokenizer, tiny_corpus):
    target = tiny_backbone("gpt2", tiny_tokenizer)
    windows = cut_windows(tiny_corpus, tiny_tokenizer, 32)
    return target, windows[:100], windows[100:130]


@pytest.mark.parametrize(("part", "site"), [("ffn.0", "mlp"), ("heads.0", "attn")])
@pytest.mark.parametrize("mixture", [1, 3])
def test_trained_bridges_halve_the_error_of_the_mean(scene, part, site, mixture, tiny_tokenizer):
    target, train, held = scene
    donor = tiny_backbone("llama", tiny_tokenizer, seed=4)
    piece = extract(donor, ("heads", "ffn")).part(part)
    graft = Graft(piece, block_width(target), InjectConfig(mixture=mixture))
    random_start(graft)
    place = f"block.1.{site}"
    held_streams = [*read_streams(target, held, place)]
    before = judge_streams(graft, held_streams)
    frozen = hash_tensors(piece.state_dict())
    with target.frozen():
        course = train_to_match(
            graft, lambda numbers: read_stream(target, [train[n] for n in numbers], place),
            len(train), held_streams, QUICK,
        )  # fmt: skip
    after = judge_streams(graft, held_streams)
    assert after.mse < 0.5 * after.baseline < before.mse
    assert after.mse / after.baseline == pytest.approx(course.best_loss, rel=1e-3)
    assert hash_tensors(piece.state_dict()) == frozen
    assert graft.gate.value.item() == 0.0
    shares = mean_shares(graft, held_streams)
    assert sum(shares) == pytest.approx(1.0, abs=1e-5)
    if mixture > 1:
        assert min(shares) > 0.05
        assert imbalance(graft, held_streams[0]).item() >= -1e-6


@pytest.mark.parametrize("gate", ["scalar", "vector", "input"])
def test_text_trains_gate_and_bridges_and_nothing_else(scene, gate, tiny_tokenizer):
    target, train, held = scene
    piece = extract(tiny_backbone("llama", tiny_tokenizer, seed=8), ("ffn",)).part("ffn.1")
    graft = Graft(piece, block_width(target), InjectConfig(gate=gate))
    random_start(graft)
    model = InjectedModel("probe", target, [Injection(1, "ffn", graft)])
    config = BridgeTrainConfig(lm_steps=40, lm_batch=4, gate_rate=5e-2, evaluate_every=10)
    bridges, frozen = hash_tensors(graft.bridges.state_dict()), hash_tensors(piece.state_dict())
    with target.frozen():
        train_on_text(model, train, held, config, bridges=False)
        assert hash_tensors(graft.bridges.state_dict()) == bridges
        course = train_on_text(model, train, held, config)
    assert course.best_loss < course.history[0][1]  # an untrained target is easy to better
    assert max(p.abs().max().item() for p in graft.gate.parameters()) > 1e-3
    assert hash_tensors(graft.bridges.state_dict()) != bridges
    assert hash_tensors(piece.state_dict()) == frozen


def test_the_start_is_kept_where_training_only_does_harm(scene, tiny_tokenizer):
    """On text that the target itself has drawn nothing can better it."""
    target, train, _ = scene
    prompt = torch.tensor([window.ids[:1] for window in train[:40]])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = target.model.generate(prompt, max_new_tokens=30, do_sample=True, top_k=0)
    own = [Window(tuple(ids), tuple(range(len(ids))), n) for n, ids in enumerate(drawn.tolist())]
    piece = extract(tiny_backbone("llama", tiny_tokenizer), ("ffn",)).part("ffn.0")
    graft = Graft(piece, block_width(target), InjectConfig())
    random_start(graft)
    before = {name: tensor.clone() for name, tensor in graft.own_tensors().items()}
    wild = BridgeTrainConfig(lm_steps=4, gate_rate=50.0, lm_rate=50.0, evaluate_every=2, warmup=0.0)
    model = InjectedModel("probe", target, [Injection(0, "ffn", graft)])
    course = train_on_text(model, train, own, wild)
    assert course.best_step == 0
    assert all(torch.equal(before[name], tensor) for name, tensor in graft.own_tensors().items())
