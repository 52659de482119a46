"""Effects and patches of a GPT-2, against nnsight: an independent way into the same model."""

from __future__ import annotations

import copy
from typing import Any

import nnsight
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.tiny import HEADS, LAYERS, WIDTH, tiny_model
from tests.tracing.conftest import cut
from tests.tracing.test_effects import effects_of
from tests.tracing.test_patching import patched
from transplant.backbones.load import view_of
from transplant.text.windows import Window
from transplant.tracing.batch import make_batches
from transplant.tracing.config import TraceConfig
from transplant.tracing.interventions import Scene
from transplant.tracing.patching import TokenPair

DIM = WIDTH // HEADS
NAMES = "auto,attn:*,layer:*.resid"


class Stock:
    """A stock model seen through nnsight: its values by the names of targets, and its logits."""

    def __init__(self, model: Any) -> None:
        self.model = nnsight.NNsight(model.requires_grad_(False))

    def value(self, ids: Tensor, name: str) -> Tensor:
        """What a target's place has on some texts, [batch, seq, width]."""
        kind, layer, _ = parts(name)
        block = self.model.transformer.h[layer]
        with self.model.trace(input_ids=ids):
            if kind == "head":
                found = block.attn.c_proj.input.save()
            elif kind == "ffn":
                found = block.mlp.output.save()
            elif kind == "attn":
                found = block.attn.output[0].save()
            else:
                found = block.output.save()
        return found

    def logits(self, ids: Tensor, name: str | None = None, by: Tensor | None = None) -> Tensor:
        """Its logits [batch, seq, vocab], where asked with another value at a target's place."""
        kind, layer, columns = ("", 0, slice(None)) if name is None else parts(name)
        block = self.model.transformer.h[layer]
        with self.model.trace(input_ids=ids):
            if kind == "head":
                block.attn.c_proj.input[..., columns] = by[..., columns]
            elif kind == "ffn":
                block.mlp.output[:] = by
            elif kind == "attn":
                block.attn.output[0][:] = by
            elif kind == "layer":
                block.output[:] = by
            logits = self.model.output.logits.save()
        return logits  # noqa: RET504 - known only behind the block


def parts(name: str) -> tuple[str, int, slice]:
    """The kind, the block and the columns of a target's name."""
    kind, _, rest = name.partition(":")
    layer, _, head = rest.partition(".")
    at = int(head) * DIM if kind == "head" else 0
    return kind, int(layer), slice(at, at + DIM) if kind == "head" else slice(None)


def replacement(value: Tensor, intervention: str, partner: Tensor) -> Tensor:
    """What stands in for a value [batch, seq, width]; the first position has its own mean."""
    if intervention == "zero":
        return torch.zeros_like(value)
    if intervention == "resample":
        return value[partner]
    first, others = value[:, :1].mean((0, 1)), value[:, 1:].mean((0, 1))
    return torch.cat([first[None], others.expand(value.shape[1] - 1, -1)]).expand_as(value)


def cost(logits: Tensor, intact: Tensor, ids: Tensor, metric: str) -> float:
    """The metric's mean over the predicted tokens, from the definition."""
    rows, labels = logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
    if metric == "nll":
        return float(functional.cross_entropy(rows, labels))
    before = intact[:, :-1].flatten(0, 1)
    if metric == "kl":
        logs = before.log_softmax(-1)
        return float((logs.exp() * (logs - rows.log_softmax(-1))).sum(-1).mean())
    foils = before.scatter(1, labels[:, None], -torch.inf).argmax(-1)
    at = torch.arange(len(labels))
    return float((rows[at, foils] - rows[at, labels]).mean())


@pytest.fixture
def same_length(tiny_corpus, tiny_tokenizer) -> list[Window]:
    return cut(tiny_corpus, tiny_tokenizer, (24, 24, 24, 24))


@pytest.mark.parametrize(
    ("intervention", "metric"), [("zero", "nll"), ("mean", "logit-diff"), ("resample", "kl")]
)
def test_effects_are_those_of_nnsight(intervention, metric, tiny_tokenizer, same_length):
    model = tiny_model("gpt2", tiny_tokenizer)
    backbone = view_of("it", copy.deepcopy(model), tiny_tokenizer)
    options = {"intervention": intervention, "metric": metric}
    found = effects_of(backbone, same_length, NAMES, **options)
    (batch,) = make_batches(backbone, same_length, TraceConfig().batch_tokens)
    drawn = Scene.of(TraceConfig(**options), batch, 0, None).partner
    partner = torch.arange(len(same_length)) if drawn is None else drawn
    ids, stock = torch.tensor([[*window.ids] for window in batch.windows]), Stock(model)
    intact = stock.logits(ids)
    expected = {}
    for name in found:
        by = replacement(stock.value(ids, name), intervention, partner)
        changed = stock.logits(ids, name, by)
        expected[name] = cost(changed, intact, ids, metric) - cost(intact, intact, ids, metric)
    assert len(expected) == LAYERS * (HEADS + 3)
    assert found == pytest.approx(expected, abs=1e-4)
    assert min(abs(effect) for effect in expected.values()) > 1e-4  # each can be told from nothing


def test_patches_are_those_of_nnsight_both_ways(tiny_tokenizer):
    model = tiny_model("gpt2", tiny_tokenizer)
    pair = TokenPair((5, 6, 7, 8), (5, 9, 7, 8), 20, 21)
    backbone = view_of("it", copy.deepcopy(model), tiny_tokenizer)
    found = patched(backbone, [pair], NAMES, metric="logit-diff")
    clean, corrupted = (torch.tensor([ids]) for ids in (pair.clean, pair.corrupted))
    stock = Stock(model)

    def gap(*given: Any) -> float:
        last = stock.logits(*given)[0, -1]
        return float(last[20] - last[21])

    for index, target in enumerate(found.targets):
        own, other = stock.value(clean, target.name), stock.value(corrupted, target.name)
        noised = gap(clean) - gap(clean, target.name, other)
        denoised = gap(corrupted, target.name, own) - gap(corrupted)
        both = float(found.noising[index, 0]), float(found.denoising[index, 0])
        assert both == pytest.approx((noised, denoised), abs=1e-4)
