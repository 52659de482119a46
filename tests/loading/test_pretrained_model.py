"""Hosted models as models of `transformers`: their parts, copies, casts, modes and gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional
from transformers import PreTrainedModel

import transplant
from tests.loading.hosted_kinds import KINDS, logits_of
from tests.workflows.export.hosted_things import IDS
from transplant.errors import InputError
from transplant.modules.routed import RoutedModel


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_what_such_a_model_has(loaded, kind):
    model = loaded(kind)
    inner = model.backbone.model
    assert isinstance(model, PreTrainedModel)
    assert model.config is inner.config
    assert (model.device.type, model.dtype, model.training) == ("cpu", torch.float32, False)
    assert model.generation_config is inner.generation_config
    assert model.can_generate()
    assert model.get_input_embeddings() is inner.get_input_embeddings()
    assert model.get_output_embeddings() is inner.get_output_embeddings()
    model.tie_weights()
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == inner.config.tie_word_embeddings
    output = model(input_ids=IDS, labels=IDS)
    by_hand = functional.cross_entropy(output.logits[0, :-1], IDS[0, 1:])
    torch.testing.assert_close(output.loss, by_hand)
    assert output.hidden_states is None
    assert len(model(IDS, output_hidden_states=True).hidden_states) > 1  # control
    if kind != "raw":
        assert (output.logits - inner(IDS).logits).abs().max() > 1e-2  # control: it is at work


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_computes_the_same_and_is_apart(loaded, kind):
    model = loaded(kind)
    before, twin = logits_of(model), copy.deepcopy(model)
    assert torch.equal(logits_of(twin), before)
    with torch.no_grad():
        twin.get_output_embeddings().weight.add_(0.5)
    assert torch.equal(logits_of(model), before)
    assert not torch.equal(logits_of(twin), before)
    assert not model.backbone.reader()._forward_hooks
    assert not model.backbone.reader()._forward_pre_hooks


@pytest.mark.usefixtures("any_arithmetic")
@pytest.mark.parametrize("kind", KINDS)
def test_a_cast_is_that_of_loading_and_goes_back(loaded, kind):
    model, halved = loaded(kind), loaded(kind, dtype="bfloat16")
    before = logits_of(model)
    model.to(torch.bfloat16)
    assert model.dtype == model.backbone.dtype == torch.bfloat16
    assert torch.equal(logits_of(model), logits_of(halved))
    assert not torch.equal(logits_of(model).float(), before)  # control
    if kind == "module":
        assert {one.dtype for one in model.correction.parameters()} == {torch.float32}
        assert {one.dtype for one in model.double().parameters()} == {torch.float64}


def test_a_frozen_backbone_stays_in_evaluation_mode(model):
    dropouts = [one for one in model.modules() if isinstance(one, torch.nn.Dropout)]
    for one in dropouts:
        one.p = 0.5
    before = logits_of(model)
    model.train()
    assert (model.training, model.correction.training) == (True, True)
    assert dropouts
    assert not any(one.training for one in dropouts)
    assert torch.equal(logits_of(model), before)
    model(IDS, labels=IDS).loss.backward()
    assert all(one.grad is None for one in model.language_model.parameters())
    assert any(one.grad is not None for one in model.correction.parameters())
    model.language_model.requires_grad_(True)
    model.train()
    assert any(one.training for one in dropouts)  # control


@pytest.mark.filterwarnings("ignore")
def test_checkpointing_is_switched_and_gives_the_same_gradients(model):
    model.language_model.requires_grad_(True)
    model.train()
    for one in model.modules():
        if isinstance(one, torch.nn.Dropout):
            one.p = 0.0
    model(IDS, labels=IDS).loss.backward()
    weight = model.get_input_embeddings().weight
    before, weight.grad = weight.grad, None
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    model(IDS, labels=IDS, use_cache=False).loss.backward()
    torch.testing.assert_close(weight.grad, before)
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


def test_an_encoder_decoder_has_a_loss_and_generates(loaded, tmp_path):
    model = loaded("t5")
    loss = model(IDS, labels=IDS[:, :5]).loss
    assert loss.requires_grad
    assert not torch.equal(loss, model.backbone.model(IDS, labels=IDS[:, :5]).loss)  # control
    model.save_pretrained(tmp_path / "kept")
    assert torch.equal(logits_of(transplant.load(tmp_path / "kept")), logits_of(model))


def test_a_route_is_one_too_and_is_no_folder(loaded, tmp_path):
    route = RoutedModel(loaded(), loaded("raw"), 0.0)  # nothing is sure
    assert isinstance(route, PreTrainedModel)
    assert (route.config.model_type, route.device.type) == ("gpt2", "cpu")
    assert torch.equal(logits_of(route), logits_of(route.baseline))
    loss = route(IDS, labels=IDS).loss
    torch.testing.assert_close(loss, route.baseline(IDS, labels=IDS).loss)
    assert torch.equal(logits_of(copy.deepcopy(route)), logits_of(route))
    assert route.to(torch.bfloat16).baseline.dtype == torch.bfloat16
    with pytest.raises(InputError, match="no folder"):
        route.save_pretrained(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
