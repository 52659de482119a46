"""Losses and agreement at a large vocabulary: the dense numbers, without the dense logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.tiny import tiny_backbone
from transplant.backbones import split_head
from transplant.backbones import token_losses as token_losses_file
from transplant.backbones.split_head import SplitHead, capped
from transplant.backbones.token_losses import LOGITS, token_losses
from transplant.calibration.objectives.kl import divergence
from transplant.evaluation.agreement import score_chunk
from transplant.evaluation.logit_rows import LogitRows
from transplant.text.windows import cut_windows
from transplant.training import finetune
from transplant.training.losses import next_token_loss, through_head

ROWS, WIDTH, VOCAB = 600, 3, 1 << 15


class Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor holds that is made inside the block."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        sizes = (one.numel() for one in tree_leaves(found) if isinstance(one, torch.Tensor))
        self.numbers = max(self.numbers, *sizes, 0)
        return found


class WideHead:
    """A backbone of which nothing but a head of many tokens is asked."""

    def __init__(self, dtype=torch.float32, soft_cap=None, *, split=True):
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(VOCAB, WIDTH, generator=generator).to(dtype)
        self.vocab_size, self.soft_cap = VOCAB, soft_cap
        self.split_head = SplitHead(self.weight, None, soft_cap) if split else None

    def head(self, hidden):
        logits = nn.functional.linear(hidden.to(self.weight.dtype), self.weight)
        return logits if self.soft_cap is None else capped(logits, self.soft_cap)


@pytest.fixture(scope="module")
def hidden():
    return torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def labels():
    return torch.randint(0, VOCAB, (ROWS,), generator=torch.Generator().manual_seed(2))


def test_the_dense_logits_would_be_noticed(hidden):
    with Largest() as made:
        WideHead().head(hidden)
    assert made.numbers == ROWS * VOCAB > LOGITS


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("cached", [1, 20, 1 << 19], ids=["less than a row", "two rows", "all"])
def test_sums_over_a_piece_are_those_of_all_rows_together(dtype, cached, monkeypatch):
    logits = (9 * torch.randn(7, 10, generator=torch.Generator().manual_seed(3))).to(dtype)
    monkeypatch.setattr(split_head, "CACHED", cached)
    blocks = [*split_head.cached_rows(logits)]
    assert len(blocks) == {1: 7, 20: 4, 1 << 19: 1}[cached]
    sums = split_head.log_sums(logits)
    assert sums.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(sums.double(), logits.double().logsumexp(1), rtol=1e-6, atol=1e-6)


HEADS = [(torch.float32, None), (torch.bfloat16, None), (torch.float32, 6.0)]


@pytest.mark.parametrize(("dtype", "soft_cap"), HEADS)
@pytest.mark.parametrize("split", [True, False])
def test_losses_and_their_gradients_hold_few_logits(hidden, labels, dtype, soft_cap, split):
    backbone = WideHead(dtype, soft_cap, split=split)
    moved = hidden.clone().requires_grad_()
    with Largest() as made:
        loss = next_token_loss(backbone, moved, labels)
        loss.backward()
        losses = token_losses(backbone, hidden, labels)
    assert made.numbers <= LOGITS
    few = slice(0, 40)
    exact = hidden[few].double().requires_grad_()
    oracle = exact @ backbone.weight.double().T
    oracle = oracle if soft_cap is None else capped(oracle, soft_cap)
    expected = nn.functional.cross_entropy(oracle, labels[few], reduction="none")
    expected.sum().backward()
    near = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0, "atol": 3e-2}
    torch.testing.assert_close(losses[few].double(), expected.detach(), **near)
    slope = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0, "atol": 3e-2}
    torch.testing.assert_close(ROWS * moved.grad[few].double(), exact.grad, **slope)
    assert loss.item() == pytest.approx(losses.mean().item(), abs=1e-4)


def test_a_head_that_is_tuned_holds_few_logits(hidden, labels):
    found = {}
    for most in (LOGITS, ROWS * VOCAB):
        backbone, moved = WideHead(), hidden.clone().requires_grad_()
        backbone.weight.requires_grad_()
        with Largest() as made, pytest.MonkeyPatch.context() as patched:
            patched.setattr(finetune, "LOGITS", most)
            loss = finetune._loss(backbone, moved, labels)
            loss.backward()
        assert (made.numbers <= LOGITS) == (most == LOGITS)
        found[most] = loss.detach(), moved.grad, backbone.weight.grad
    torch.testing.assert_close(*found.values(), rtol=1e-4, atol=1e-7)


def test_a_divergence_from_a_teacher_holds_few_logits(hidden):
    backbone, moved = WideHead(), hidden.clone().requires_grad_()
    other = hidden.flip(0)
    with Largest() as made:
        through_head(
            backbone,
            moved,
            lambda logits, rows: divergence(backbone.head(other[rows]), logits),
        ).backward()
    assert made.numbers <= LOGITS // 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_agreement_holds_few_logits_and_is_that_of_dense_ones(hidden, dtype):
    backbone, near = WideHead(dtype), hidden + 0.05
    sides = [LogitRows(rows, backbone.head, VOCAB) for rows in (hidden, near)]
    with Largest() as made:
        found = score_chunk(sides[0][10:], sides[1][10:])
    assert made.numbers <= LOGITS
    assert found == score_chunk(backbone.head(hidden[10:]), backbone.head(near[10:]))
    assert 0 < found.top5 < 1


@pytest.mark.parametrize("family", ["gpt2", "phi", "gemma2", "t5", "opt-projected", "layercake"])
def test_the_pieces_of_every_family_are_its_logits(family, tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone(family, tiny_tokenizer)
    window = cut_windows(tiny_corpus[:1], tiny_tokenizer, 20)[0]
    h_last = backbone.read([window]).h_last
    head = backbone.split_head
    assert head is not None
    pieces = [head.logits(h_last, slice(n, n + 50)) for n in range(0, backbone.vocab_size, 50)]
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(pieces, 1), backbone.head(h_last))


@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_head_that_a_hook_changes_is_not_gone_round(kind, tiny_tokenizer, monkeypatch):
    """As an adapter on the head does; its weights alone would give the losses without it."""
    monkeypatch.setattr(token_losses_file, "TOKENS", 50)  # what a large vocabulary takes
    backbone = tiny_backbone("llama", tiny_tokenizer)
    head = backbone.model.get_output_embeddings()
    hidden = torch.randn(9, backbone.d_model, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(9)
    changes = {
        "register_forward_hook": lambda _, _args, logits: logits * 3,
        "register_forward_pre_hook": lambda _, args: (args[0] * 3,),
    }
    before = token_losses(backbone, hidden, labels)
    hook = getattr(head, kind)(changes[kind])
    with torch.no_grad():
        expected = functional.cross_entropy(backbone.head(hidden), labels, reduction="none")
    torch.testing.assert_close(token_losses(backbone, hidden, labels), expected)
    assert (before - expected).abs().max() > 0.1  # control: the hook matters
    hook.remove()
    assert torch.equal(token_losses(backbone, hidden, labels), before)
