"""The loss of a frozen head, block by block."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from transplant.backbones import split_head
from transplant.backbones import token_losses as token_losses_file
from transplant.backbones.split_head import SplitHead, capped
from transplant.backbones.states import States
from transplant.backbones.token_losses import token_losses
from transplant.training import losses
from transplant.training.loop import new_correction
from transplant.training.losses import cross_entropy
from transplant.training.precision import matmul_type

ROWS, WIDTH, VOCAB = 21, 6, 11


class Head:
    """A backbone of which nothing but the head is asked."""

    def __init__(self, *, bias=False, linear=True, soft_cap=None):
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(VOCAB, WIDTH, generator=generator)
        self.bias = torch.randn(VOCAB, generator=generator) if bias else None
        self.soft_cap, self.linear, self.vocab_size = soft_cap, linear, VOCAB

    @property
    def split_head(self):
        return SplitHead(self.weight, self.bias, self.soft_cap) if self.linear else None

    def head(self, hidden):
        logits = nn.functional.linear(hidden, self.weight, self.bias)
        return logits if self.soft_cap is None else capped(logits, self.soft_cap)


class Shift(nn.Module):
    """A correction with a gradient of its own."""

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, *_):
        return self.values


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(1)
    hidden = 3 * torch.randn(ROWS, WIDTH, generator=generator)
    labels = torch.randint(0, VOCAB, (ROWS,), generator=generator)
    shift = Shift(torch.randn(ROWS, WIDTH, generator=generator))
    return States({}, hidden, labels, labels, torch.zeros(ROWS, dtype=torch.long)), shift


def loss_and_gradient(head, rows, matmul_type=torch.float32):
    states, shift = rows
    shift.zero_grad()
    loss = cross_entropy(head, states, shift, matmul_type)
    (2.5 * loss).backward()
    return loss.detach(), shift.values.grad.clone()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("block", [1, 8, ROWS, 512])
def test_blocks_change_neither_loss_nor_gradient(rows, bias, block, monkeypatch):
    monkeypatch.setattr(losses, "ROWS", block)
    ours = loss_and_gradient(Head(bias=bias), rows)
    plain = loss_and_gradient(Head(bias=bias, linear=False), rows)
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("soft_cap", [None, 5.0])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("tokens", [1, 4, VOCAB - 1])
def test_pieces_of_the_vocabulary_change_neither_loss_nor_gradient(
    rows, tokens, bias, soft_cap, monkeypatch
):
    monkeypatch.setattr(split_head, "TOKENS", tokens)
    monkeypatch.setattr(losses, "TOKENS", tokens)
    monkeypatch.setattr(losses, "WIDE_ROWS", 8)
    monkeypatch.setattr(token_losses_file, "TOKENS", tokens)
    monkeypatch.setattr(token_losses_file, "ROWS", 5)
    states, shift = rows
    head = Head(bias=bias, soft_cap=soft_cap)
    ours = loss_and_gradient(head, rows)
    hidden = (states.h_last + shift.values).double().detach().requires_grad_()
    logits = nn.functional.linear(
        hidden, head.weight.double(), None if head.bias is None else head.bias.double()
    )
    logits = logits if soft_cap is None else capped(logits, soft_cap)
    oracle = nn.functional.cross_entropy(logits, states.labels, reduction="none")
    (2.5 * oracle.mean()).backward()
    torch.testing.assert_close(
        ours, (oracle.mean().float(), hidden.grad.float()), rtol=1e-5, atol=1e-6
    )
    found = token_losses(head, hidden.detach().float(), states.labels)
    torch.testing.assert_close(found, oracle.detach().float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tokens", [4, VOCAB])
def test_large_logits_do_not_overflow(rows, tokens, monkeypatch):
    monkeypatch.setattr(split_head, "TOKENS", tokens)
    monkeypatch.setattr(losses, "TOKENS", tokens)
    states, shift = rows
    head = Head()
    head.weight *= 1e4
    loss, gradient = loss_and_gradient(head, rows)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
    with torch.no_grad():
        shift.values[0] = float("nan")
    assert loss_and_gradient(head, rows)[0].isnan()  # what is no number stays none


def test_without_a_gradient_none_is_computed(rows):
    states, shift = rows
    head = Head()
    with torch.no_grad():
        loss = cross_entropy(head, states, shift)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, loss_and_gradient(head, rows)[0])


@pytest.mark.parametrize("tokens", [4, VOCAB])
@pytest.mark.parametrize("bias", [False, True])
def test_a_rounded_head_changes_gradients_by_its_rounding_and_no_loss_without_one(
    rows, bias, tokens, monkeypatch
):
    monkeypatch.setattr(split_head, "TOKENS", tokens)
    monkeypatch.setattr(losses, "TOKENS", tokens)
    states, shift = rows
    head = Head(bias=bias)
    exact, slope = loss_and_gradient(head, rows)
    rounded, rough = loss_and_gradient(head, rows, torch.bfloat16)
    assert 0 < (rough - slope).norm() / slope.norm() < 2e-2
    torch.testing.assert_close(rounded, exact, rtol=2e-2, atol=2e-2)
    assert abs(rounded - exact) > 1e-5
    with torch.no_grad():
        unlearnt = cross_entropy(head, states, shift, torch.bfloat16)
    torch.testing.assert_close(unlearnt, exact, rtol=1e-6, atol=0)


def test_the_products_of_the_module_are_rounded_where_it_learns(rows):
    states, _ = rows
    states = dataclasses.replace(states, taps={0: states.h_last})
    correction = new_correction(WIDTH, 32, (0,), seed=0)
    generator = torch.Generator().manual_seed(2)
    nn.init.normal_(correction.interface.proj_out.weight, std=0.2, generator=generator)
    inner, head = correction.module.w1.weight, Head(linear=False)  # which is never rounded
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        correction.zero_grad()
        cross_entropy(head, states, correction, dtype).backward()
        assert inner.grad.dtype == torch.float32
        with torch.no_grad():
            found[dtype] = inner.grad.clone(), cross_entropy(head, states, correction, dtype)
    (slope, exact), (rough, unlearnt) = found[torch.float32], found[torch.bfloat16]
    assert 0 < (rough - slope).norm() / slope.norm() < 3e-2
    assert torch.equal(unlearnt, exact)


def test_a_head_that_is_stored_rounded_is_used_as_it_is(rows):
    head = Head()
    head.weight = head.weight.double()
    states, shift = rows
    states = dataclasses.replace(states, h_last=states.h_last.double())
    wanted = loss_and_gradient(head, (states, shift))
    torch.testing.assert_close(loss_and_gradient(head, (states, shift), torch.bfloat16), wanted)


def test_auto_is_what_the_processor_multiplies(monkeypatch):
    device = torch.device("cpu")
    for able, wanted in ((True, torch.bfloat16), (False, torch.float32)):
        told = {"amx_bf16": able}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda told=told: told, raising=False)
        assert matmul_type("auto", device) == wanted
    assert matmul_type("float32", device) == torch.float32
    assert matmul_type("bfloat16", device) == torch.bfloat16
