"""Effects of interventions: against weights that are changed, and against hooks written by hand."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import pytest
import torch
from torch.nn import functional

from tests.tiny import FAMILIES, tiny_backbone, tiny_model
from transplant.backbones.load import view_of
from transplant.errors import BackboneError, InputError
from transplant.evaluation.likelihood import score_documents
from transplant.modules.correction import Correction
from transplant.modules.forms import MlpModule
from transplant.modules.hosted import HostedModel
from transplant.modules.interface import Interface
from transplant.tracing import places as places_file
from transplant.tracing.config import INTERVENTIONS, TraceConfig
from transplant.tracing.effects import trace
from transplant.tracing.places import Places, input_width
from transplant.tracing.prefix import Prefix
from transplant.tracing.targets import parse_targets


def effects_of(backbone, windows, names="auto", model=None, **options):
    targets = parse_targets(names, Places(backbone))
    config = TraceConfig(documents=len(windows), **options)
    found = trace(model or HostedModel(backbone.name, backbone), windows, targets, config)
    return dict(zip((target.name for target in targets), found.per_token().tolist(), strict=True))


def loss(backbone, windows) -> float:
    return score_documents(backbone, windows, {"it": None})["it"].per_token


@contextmanager
def without_columns(module, columns):
    """Zeroes what a map makes of some of its inputs."""
    held = module.weight.detach().clone()
    by_row = type(module).__name__ == "Conv1D"
    with torch.no_grad():
        (module.weight if by_row else module.weight.T)[columns] = 0
        yield
        module.weight.copy_(held)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_zeroed_head_is_a_head_whose_output_weights_are_zero(family, tiny_tokenizer, windows):
    backbone = tiny_backbone(family, tiny_tokenizer)
    found = effects_of(backbone, windows, "head:*", intervention="zero")
    places, whole = Places(backbone), loss(backbone, windows)
    assert len(found) == places.layers * places.heads
    for layer, head in ((0, 1), (places.layers - 1, places.heads - 1)):
        projection = places.projection(layer)
        dim = input_width(projection) // places.heads
        with without_columns(projection, slice(head * dim, (head + 1) * dim)):
            expected = loss(backbone, windows) - whole
        assert found[f"head:{layer}.{head}"] == pytest.approx(expected, abs=1e-5)
        assert abs(expected) > 1e-4  # it could be told from nothing


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3_text", "opt-projected", "t5"])
def test_a_zeroed_feed_forward_part_adds_nothing(family, tiny_tokenizer, windows):
    backbone = tiny_backbone(family, tiny_tokenizer)
    found = effects_of(backbone, windows, "ffn:1", intervention="zero")["ffn:1"]
    whole = loss(backbone, windows)
    down = next(
        module
        for name, module in Places(backbone).blocks[1].named_modules()
        if name.split(".")[-1] in ("down_proj", "fc2", "wo") or name == "mlp.c_proj"
    )
    with torch.no_grad():
        for parameter in down.parameters():
            parameter.zero_()
    if family == "opt-projected":  # its norm comes after the sum: without the part it stays
        assert abs(found) > 1e-4
    else:
        assert found == pytest.approx(loss(backbone, windows) - whole, abs=1e-5)


def by_hand(model, tokens, layer, head, intervention):
    """Nats per token of a stock GPT-2 with one head replaced, document by document."""
    dim = model.config.n_embd // model.config.n_head
    columns = slice(head * dim, (head + 1) * dim)
    seen: list[torch.Tensor] = []

    def run(ids, replace):
        def hook(_module, args):
            value = args[0].clone()
            seen.append(value[0, :, columns])
            if replace is not None:
                value[0, :, columns] = replace
            return (value,)

        handle = model.transformer.h[layer].attn.c_proj.register_forward_pre_hook(hook)
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        handle.remove()
        return functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="sum")

    with torch.no_grad():
        clean = sum(run(ids, None) for ids in tokens)
        values = [*seen]
        first = torch.stack([value[0] for value in values]).mean(0)
        rest = torch.cat([value[1:] for value in values]).mean(0)
        total = 0.0
        for ids in tokens:
            mean = torch.cat([first[None], rest.expand(len(ids) - 1, -1)])
            total += run(ids, 0.0 if intervention == "zero" else mean)
    return float((total - clean) / sum(len(ids) - 1 for ids in tokens))


@pytest.mark.parametrize("intervention", ["zero", "mean"])
def test_effects_are_those_of_hooks_on_a_stock_model(intervention, tiny_tokenizer, windows):
    model = tiny_model("gpt2", tiny_tokenizer)
    found = effects_of(
        view_of("it", copy.deepcopy(model), tiny_tokenizer), windows, "head:*",
        intervention=intervention,
    )  # fmt: skip
    tokens = [[*window.ids] for window in windows]
    for layer in range(2):
        for head in range(4):
            expected = by_hand(model, tokens, layer, head, intervention)
            assert found[f"head:{layer}.{head}"] == pytest.approx(expected, abs=1e-5)


def test_a_dead_head_is_worth_nothing(tiny_tokenizer, windows):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    with torch.no_grad():
        backbone.model.model.layers[1].self_attn.o_proj.weight[:, 8:16] = 0
    for intervention in INTERVENTIONS:
        found = effects_of(backbone, windows, "head:1.1,head:1.0", intervention=intervention)
        assert found["head:1.1"] == pytest.approx(0.0, abs=1e-6)
        assert abs(found["head:1.0"]) > 1e-4


@pytest.mark.parametrize("metric", ["nll", "kl", "logit-diff"])
def test_blocks_below_the_target_need_not_run_again(metric, tiny_tokenizer, windows, monkeypatch):
    backbone = tiny_backbone("gemma2", tiny_tokenizer)
    interface = Interface(backbone.d_model, 8, (0, 1, 2), generator=torch.Generator())
    with torch.no_grad():
        interface.proj_out.weight.normal_()
    model = HostedModel("m@it", backbone, Correction(interface, MlpModule(8)))
    names = "auto,layer:*.resid"
    fast = effects_of(backbone, windows, names, model, metric=metric, intervention="resample")
    raw = effects_of(backbone, windows, names, metric=metric, intervention="resample")
    assert fast != pytest.approx(raw, abs=1e-4)  # the module is at work

    @contextmanager
    def nothing_skipped(_prefix, _below):
        yield

    monkeypatch.setattr(Prefix, "skipped", nothing_skipped)
    slow = effects_of(backbone, windows, names, model, metric=metric, intervention="resample")
    assert fast == pytest.approx(slow, abs=1e-6)


def test_padding_changes_nothing(tiny_tokenizer, windows):
    backbone = tiny_backbone("qwen2", tiny_tokenizer)
    for intervention in ("zero", "mean"):
        together = effects_of(backbone, windows, intervention=intervention)
        apart = effects_of(backbone, windows, intervention=intervention, batch_tokens=80)
        assert together == pytest.approx(apart, abs=1e-6)


def test_a_whole_model_takes_a_pass_for_each_target(tiny_tokenizer, windows):
    backbone, passes = tiny_backbone("llama", tiny_tokenizer), []
    hook = backbone.reader().register_forward_hook(lambda *_: passes.append(1))
    found = effects_of(backbone, windows, intervention="mean")
    hook.remove()
    assert len(found) == 2 * (4 + 1)
    assert len(passes) <= 2 * (len(found) + 1)


def test_draws_are_seeded_and_do_not_depend_on_the_other_targets(tiny_tokenizer, windows):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    for intervention in ("resample", "noise"):
        one = effects_of(backbone, windows, "head:1.0,ffn:0", intervention=intervention)
        again = effects_of(backbone, windows, "ffn:0", intervention=intervention)
        other = effects_of(backbone, windows, "ffn:0", intervention=intervention, seed=1)
        assert again["ffn:0"] == one["ffn:0"]
        assert other["ffn:0"] != one["ffn:0"]


def test_a_hook_that_does_not_fire_is_refused(tiny_tokenizer, windows, monkeypatch):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    idle = torch.nn.Linear(32, 32)
    monkeypatch.setattr(places_file.Places, "projection", lambda *_, **__: idle)
    with pytest.raises(BackboneError, match=r"without passing head:0\.1: nothing was replaced"):
        effects_of(backbone, windows, "head:0.1", intervention="zero")


def test_kl_is_never_negative_and_nothing_changes_without_a_cause(tiny_tokenizer, windows):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    found = effects_of(backbone, windows, metric="kl", intervention="zero")
    assert min(found.values()) > 0
    with torch.no_grad():
        for block in backbone.model.transformer.h:
            for part in (block.attn.c_proj, block.mlp.c_proj):
                part.weight.zero_()
                part.bias.zero_()
    silent = effects_of(backbone, windows, metric="kl", intervention="zero")
    assert max(map(abs, silent.values())) < 1e-6


def test_logits_are_computed_in_blocks(tiny_tokenizer, windows, monkeypatch):
    backbone, largest = tiny_backbone("llama", tiny_tokenizer), []
    head = type(backbone).head

    def watched(self, hidden):
        logits = head(self, hidden)
        largest.append(logits.numel() * 4)
        return logits

    monkeypatch.setattr(type(backbone), "head", watched)
    whole = effects_of(backbone, windows, "ffn:*", metric="kl")
    monkeypatch.setattr("transplant.backbones.token_losses.LOGITS", 5_000)
    before = max(largest)
    largest.clear()
    assert effects_of(backbone, windows, "ffn:*", metric="kl") == pytest.approx(whole, abs=1e-6)
    assert 0 < max(largest) <= 4 * 5_000 / 2 < before


def test_one_document_cannot_be_resampled(tiny_tokenizer, windows):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    with pytest.raises(InputError, match="2 or more, each to stand in for another"):
        effects_of(backbone, windows[:1], intervention="resample")
