"""Training a fusion: the combiner alone learns, and it learns which module a text needs."""

from __future__ import annotations

import pytest
import torch

from tests.surgery.fuse.scenes import COMBINER_NAMES, KINDS, module, scene
from tests.tiny import LAYERS, tiny_backbone
from transplant.evaluation.evidence import difference
from transplant.modules.hosted import HostedModel
from transplant.surgery.fuse.config import FuseConfig
from transplant.surgery.fuse.controls import random_slot
from transplant.surgery.fuse.evidence import MIX, perplexities, score_hosted, verdict
from transplant.surgery.fuse.hosted import fuse_members
from transplant.surgery.fuse.mean import MeanCombiner
from transplant.surgery.fuse.stored import empty_fusion
from transplant.surgery.fuse.train import frozen_hashes, train_fusion
from transplant.surgery.fuse.weights import mean_weights
from transplant.text.documents import Document
from transplant.text.windows import cut_windows
from transplant.training.config import TrainConfig
from transplant.training.loop import train_module

QUICK = FuseConfig(steps=240, batch=4, window=32, learning_rate=1e-1, evaluate_every=40)


@pytest.fixture(scope="module")
def learnt(tiny_tokenizer, tiny_corpus):
    """A backbone, two modules that have each learnt a text of their own, and the two texts."""
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    numbers = [
        Document(" ".join(str((7 * n + k) ** 2 % 997) for k in range(150)), f"numbers/{n}")
        for n in range(60)
    ]
    texts = {
        name: cut_windows(documents, tiny_tokenizer, 32)
        for name, documents in (("tales", tiny_corpus), ("numbers", numbers))
    }
    recipe = TrainConfig(d_abi=16, taps=(LAYERS,), steps=60, batch=4, window=32, learning_rate=1e-2)
    members = [
        HostedModel(name, backbone, train_module(backbone, w[60:], w[30:60], recipe).correction)
        for name, w in texts.items()
    ]
    return backbone, members, texts


def sides(texts):
    """Windows of both texts to train on, to choose by, and to judge on."""
    return (
        [w for windows in texts.values() for w in windows[60:]],
        [w for windows in texts.values() for w in windows[30:60]],
        {name: windows[:30] for name, windows in texts.items()},
    )


@pytest.mark.parametrize("combiner", COMBINER_NAMES)
def test_each_text_gets_its_own_module_and_a_useless_one_gets_little(learnt, combiner):
    backbone, members, texts = learnt
    train, held, judged = sides(texts)
    fused = empty_fusion("fused", members, combiner)
    before = frozen_hashes(fused)
    course = train_fusion(fused, train, held, QUICK)
    assert frozen_hashes(fused) == before
    assert course.best_loss < course.history[0][1]
    weights = {name: mean_weights(fused, windows) for name, windows in judged.items()}
    assert weights["tales"].mean[0] > weights["numbers"].mean[0] + 0.2
    assert weights["numbers"].mean[1] > weights["tales"].mean[1] + 0.2
    mean = fuse_members("mean", members, MeanCombiner(2, backbone.d_model))
    systems = {"raw": None, "mean": mean, "fused": fused, **{m.name: m for m in members}}
    scores = score_hosted(backbone, judged, systems)
    for control in ("raw", "mean"):
        assert difference(scores[MIX][control], scores[MIX]["fused"]).low > 0.0
    for text, other in (("tales", "numbers"), ("numbers", "tales")):
        assert difference(scores[text][other], scores[text]["fused"]).low > 0.0
    # One that has learnt nothing, its way out included: trained maps are of some use by themselves.
    useless = module(backbone, (LAYERS,), 9)
    with_useless = empty_fusion("useless", [members[0], useless], combiner)
    train_fusion(with_useless, train, held, QUICK)
    drawn = mean_weights(with_useless, judged["numbers"])
    assert drawn.size[1] < 0.5 * weights["numbers"].size[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_random_slot_alone_is_another_and_of_the_same_shape(kind, tiny_tokenizer, tiny_corpus):
    backbone, members = scene("gpt2", kind, tiny_tokenizer)
    drawn, again = random_slot(members, 1, 3), random_slot(members, 1, 3)
    assert drawn[0] is members[0]
    windows = {"tales": cut_windows(tiny_corpus[:4], tiny_tokenizer, 32)}
    for model in (*drawn, *again, *members):
        if kind == "parts":
            model.injections[0].graft.gate.open_to(1.0)
    found = [
        score_hosted(backbone, windows, {"it": one[1]})["tales"]["it"].per_token
        for one in (members, drawn, again)
    ]
    assert found[1] == found[2] != found[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_slot_with_drawn_maps_keeps_no_trained_map(kind, tiny_tokenizer):
    _, members = scene("gpt2", kind, tiny_tokenizer)

    def maps(model):
        around = (
            model.injections[0].graft.bridges if kind == "parts" else model.correction.interface
        )
        return {n: p for n, p in around.named_parameters() if p.ndim > 1}

    trained = maps(members[1])
    kept, drawn = (maps(random_slot(members, 1, 3, maps=m)[1]) for m in (False, True))
    for name, own in trained.items():
        assert torch.equal(kept[name], own)
        if own.std() > 0:
            assert not torch.equal(drawn[name], own)
            assert torch.allclose(drawn[name].std(), own.std(), rtol=0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_start_is_kept_where_training_only_does_harm(kind, tiny_tokenizer, tiny_corpus):
    _, members = scene("gpt2", kind, tiny_tokenizer)
    windows = cut_windows(tiny_corpus, tiny_tokenizer, 32)
    fused = empty_fusion("fused", members, "gate")
    wild = FuseConfig(steps=4, learning_rate=500.0, evaluate_every=2, warmup=0.0)
    course = train_fusion(fused, windows[:40], windows[40:50], wild)
    kept = course.best_step
    assert course.best_loss <= course.history[0][1]
    assert (kept == 0) == all(p.abs().max() == 0 for p in fused.combiner.parameters())
    assert not any(p.requires_grad for p in fused.parameters())


def test_weights_are_averaged_over_the_windows_own_positions(tiny_tokenizer, tiny_corpus):
    backbone, members = scene("llama", "modules", tiny_tokenizer)
    fused = empty_fusion("fused", members, "gate")
    with torch.no_grad():
        fused.combiner.bias.copy_(torch.tensor([0.0, 50.0]))
        fused.combiner.opening.copy_(torch.tensor([0.5, -2.0]))
    windows = cut_windows(tiny_corpus[:2], tiny_tokenizer, 20)
    found = mean_weights(fused, windows)
    assert found.mean == pytest.approx((0.25, -2.0))
    assert found.size == pytest.approx((0.25, 2.0))
    assert found.positions == sum(map(len, windows))
    assert not fused.combiner._forward_hooks
    assert not backbone.reader()._forward_hooks


def test_scores_of_hosted_models_agree_wherever_their_change_happens(learnt):
    backbone, members, texts = learnt
    fused = empty_fusion("fused", members[:1], "gate")
    with torch.no_grad():
        fused.combiner.opening.fill_(2.0)  # times sigmoid(0): a weight of 1
    judged = {name: windows[:6] for name, windows in texts.items()}
    scores = score_hosted(backbone, judged, {"raw": None, "single": members[0], "fused": fused})
    for text in (*judged, MIX):
        found = scores[text]
        torch.testing.assert_close(found["fused"].nats, found["single"].nats, rtol=1e-5, atol=1e-4)
        assert found["raw"].per_token != found["single"].per_token
    assert scores[MIX]["raw"].tokens.sum() == sum(scores[t]["raw"].tokens.sum() for t in judged)
    shown = perplexities(scores)["raw"][MIX]
    low, high = shown["interval"]
    assert low < shown["ppl"] < high
    against_itself = verdict(scores, ["single"], "fused")
    assert not against_itself["goals"]["mix_better_than_each"]  # as good as it is no better
    assert all(against_itself["goals"]["own_text_within_2_percent"].values())
    assert not all(
        verdict(scores, ["single"], "raw")["goals"]["own_text_within_2_percent"].values()
    )
