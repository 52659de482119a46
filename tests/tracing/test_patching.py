"""Patching between clean and corrupted texts, both ways."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_backbone, tiny_model
from tests.tracing.planted import HEAD, LAYER, LENGTH, copying_backbone
from transplant.backbones.load import view_of
from transplant.modules.hosted import HostedModel
from transplant.tracing.config import TraceConfig
from transplant.tracing.patching import Patched, TokenPair, patch
from transplant.tracing.places import Places
from transplant.tracing.targets import parse_targets


def patched(backbone, pairs, names="auto", **options) -> Patched:
    targets = parse_targets(names, Places(backbone))
    return patch(HostedModel("it", backbone), pairs, targets, TraceConfig(**options))


def copied_pairs(vocabulary: int, count: int = 4) -> list[TokenPair]:
    """a b a b a, and the same with c in the place of b: b or c comes next."""
    draw = torch.Generator().manual_seed(2)
    tokens = torch.randperm(vocabulary, generator=draw)[: 3 * count].view(-1, 3).tolist()
    length = LENGTH - 3
    return [
        TokenPair(tuple([a, b] * length)[:length], tuple([a, c] * length)[:length], b, c)
        for a, b, c in tokens
    ]


@pytest.mark.parametrize("metric", ["logit-diff", "nll", "kl"])
def test_the_head_that_copies_carries_the_whole_difference(metric, tiny_tokenizer):
    backbone = copying_backbone(tiny_tokenizer)
    found = patched(backbone, copied_pairs(len(tiny_tokenizer)), metric=metric)
    assert (found.total > 1).all()
    for way in ("noising", "denoising"):
        shares = [found.share(way, n, 0.95, 0) for n in range(len(found.targets))]
        values = torch.tensor([share.mean for share in shares if share is not None])
        best = found.targets[int(values.argmax())]
        assert (best.layer, best.kind, best.head) == (LAYER, "head", HEAD)
        assert values.max() == pytest.approx(1.0, abs=0.1)
        assert values.sort().values[-2] < 0.2


def by_hand(model, pair: TokenPair, layer: int, head: int) -> tuple[float, float]:
    """What one head of a stock GPT-2 is worth both ways, by hooks of its own."""
    dim = model.config.n_embd // model.config.n_head
    columns = slice(head * dim, (head + 1) * dim)

    def run(ids, value=None):
        seen = []

        def hook(_module, args):
            seen.append(args[0][..., columns].clone())
            if value is None:
                return None
            changed = args[0].clone()
            changed[..., columns] = value
            return (changed,)

        handle = model.transformer.h[layer].attn.c_proj.register_forward_pre_hook(hook)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
        handle.remove()
        return float(logits[pair.answer] - logits[pair.foil]), seen[0]

    clean, value = run(pair.clean)
    corrupted, other = run(pair.corrupted)
    noised, denoised = run(pair.clean, other)[0], run(pair.corrupted, value)[0]
    return clean - noised, denoised - corrupted


def test_patches_are_those_of_hooks_on_a_stock_model(tiny_tokenizer):
    pairs = [
        TokenPair((5, 6, 7, 8), (5, 9, 7, 8), 20, 21),
        TokenPair((30, 31, 32), (40, 31, 33), 50, 51),
        TokenPair((5, 6, 7, 8), (5, 6, 7, 11), 22, 23),
    ]
    model = tiny_model("gpt2", tiny_tokenizer)
    backbone = view_of("it", model, tiny_tokenizer)
    found = patched(backbone, pairs, "head:*", metric="logit-diff")
    assert found.pairs == (0, 1, 2)
    for index, target in enumerate(found.targets):
        assert target.head is not None
        for number, pair in enumerate(pairs):
            expected = by_hand(model, pair, target.layer, target.head)
            both = (float(found.noising[index, number]), float(found.denoising[index, number]))
            assert both == pytest.approx(expected, abs=1e-4)


def test_all_of_the_stream_is_the_whole_difference(tiny_tokenizer):
    for family in ("llama", "t5"):
        backbone = tiny_backbone(family, tiny_tokenizer)
        last = f"layer:{Places(backbone).layers - 1}.resid"
        pairs = [TokenPair((5, 6, 7, 8, 3), (5, 6, 7, 9, 4), 20, 21)]
        found = patched(backbone, pairs, last)
        assert found.noising[0] == pytest.approx(found.total, abs=1e-5)
        assert found.denoising[0] == pytest.approx(found.total, abs=1e-5)


def test_answers_are_what_the_model_holds_likeliest(tiny_tokenizer):
    backbone = copying_backbone(tiny_tokenizer)
    given = copied_pairs(len(tiny_tokenizer))
    asked = [TokenPair(pair.clean, pair.corrupted) for pair in given]
    found = patched(backbone, [*asked, TokenPair((3, 4, 3, 4, 3), (5, 4, 3, 4, 3))])
    assert found.answers == tuple((pair.answer, pair.foil) for pair in given)
    assert found.left_out == (4,)  # 4 comes next in both
    assert found.noising.shape == (len(found.targets), 4)


def test_a_corruption_that_hurts_nothing_has_no_shares(tiny_tokenizer):
    backbone = copying_backbone(tiny_tokenizer)
    pair = copied_pairs(len(tiny_tokenizer), 1)[0]
    turned = [TokenPair(pair.clean, pair.corrupted, pair.foil, pair.answer)]
    found = patched(backbone, turned)
    assert float(found.total.sum()) < 0
    assert found.share("noising", 0, 0.95, 0) is None
