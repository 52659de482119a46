"""Domain modules in a core: identity, forms, switches, routers."""

from __future__ import annotations

import pytest
import torch

from tests.backbones.layercake_cores import draw_ids, logits_of, perturb, tiny_config, tiny_core
from transplant.backbones.layercake import FORMS, build_core
from transplant.backbones.layercake.forms import choose_heads
from transplant.errors import InputError

pytestmark = pytest.mark.bits


@pytest.mark.parametrize("router", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_new_module_changes_no_bit(form, router):
    core = tiny_core(router=router)
    bare = logits_of(core, ids := draw_ids(2, 9))
    core.add_domain_module("law", form, seed=0)
    assert torch.equal(logits_of(core, ids), bare)
    core.set_active("law", False)
    assert torch.equal(logits_of(core, ids), bare)
    core.set_active("law", True)
    perturb(core.model.domain_modules["law"])  # the control: it can
    assert not torch.allclose(logits_of(core, ids), bare, atol=1e-2)


@pytest.mark.parametrize("form", FORMS)
def test_a_new_form_is_the_identity_on_its_own(form):
    module = FORMS[form](16)
    h = torch.randn(2, 5, 16)
    assert torch.equal(module(h), h)
    assert not torch.allclose(perturb(module)(h), h, atol=1e-2)


@pytest.mark.parametrize("form", FORMS)
def test_a_module_mixes_its_function_by_the_exponential_of_its_scalar(form):
    module, h = perturb(FORMS[form](16)), torch.randn(2, 5, 16)
    with torch.no_grad():
        module.a.fill_(0.0)
        function = module(h)
        module.a.fill_(-1.5)
        expected = h + torch.exp(torch.tensor(-1.5)) * (function - h)
        torch.testing.assert_close(module(h), expected)


@pytest.mark.parametrize(("form", "tensors", "millions"), [("lite", 9, 1.6), ("full", 25, 6.3)])
def test_forms_have_the_tensors_that_they_promise(form, tensors, millions):
    with torch.device("meta"):
        module = FORMS[form](512)
    assert len(module.state_dict()) == tensors == len(list(module.parameters()))
    count = sum(parameter.numel() for parameter in module.parameters())
    assert round(count / 1e6, 1) == millions


@pytest.mark.parametrize(("d_abi", "n_heads"), [(512, 8), (128, 8), (16, 8), (24, 6), (10, 5)])
def test_heads_of_a_full_module_have_an_even_width(d_abi, n_heads):
    assert choose_heads(d_abi) == n_heads
    assert d_abi // n_heads % 2 == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_module_fits_every_core_of_its_d_abi(form):
    donor = tiny_core({"law": form})
    target = tiny_core(seed=1, hidden_size=36, num_attention_heads=2, positions="learned")
    moved = target.add_domain_module("law", form, seed=5)
    moved.load_state_dict(donor.model.domain_modules["law"].state_dict())
    h = torch.randn(1, 6, 16)
    assert torch.equal(moved(h), donor.model.domain_modules["law"](h))


@pytest.mark.parametrize("router", [False, True])
def test_a_module_off_or_without_weight_is_absent(router):
    core = tiny_core({"law": "lite", "code": "full"}, router=router)
    ids = draw_ids(2, 9)
    with_both = logits_of(core, ids)
    core.set_active("code", False)
    off = logits_of(core, ids)
    core.set_active("code", True)
    assert torch.equal(logits_of(core, ids), with_both)
    core.set_weight("code", 0)
    assert torch.equal(logits_of(core, ids), off)
    core.remove_domain_module("code")
    assert torch.equal(logits_of(core, ids), off)
    assert not any("code" in name for name in core.state_dict())
    assert not torch.allclose(off, with_both, atol=1e-2)


@torch.no_grad()
def test_two_modules_add_their_weighted_changes_of_the_same_z():
    core = tiny_core({"law": "lite", "code": "full"}, router=True)
    core.set_weight("code", -0.5)
    seen = {}
    model = core.model
    hooks = [
        model.abi_norm.register_forward_hook(lambda *call: seen.update(z=call[2])),
        model.abi_to_core.register_forward_hook(lambda *call: seen.update(z_out=call[1][0])),
    ]
    logits_of(core, draw_ids(2, 9))
    for hook in hooks:
        hook.remove()
    expected = z = seen["z"]
    for name, weight in (("law", 1.0), ("code", -0.5)):
        gate = 2 * torch.sigmoid(z @ model.routers[name].weight.T + model.routers[name].bias)
        expected = expected + weight * gate * (model.domain_modules[name](z) - z)
    torch.testing.assert_close(seen["z_out"], expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(expected, z, atol=1e-2)


def test_the_order_of_adding_changes_no_bit():
    first = tiny_core()
    second = build_core(first.config, 0)
    second.load_state_dict(first.state_dict())
    for core, names in ((first, "abc"), (second, "cba")):
        for name in names:
            perturb(core.add_domain_module(name, "full", ord(name)), seed=ord(name))
    ids = draw_ids(1, 8)
    assert torch.equal(logits_of(first, ids), logits_of(second.eval(), ids))


def test_a_module_added_to_one_core_is_none_of_anothers():
    config = tiny_config()
    first, second = build_core(config, 0), build_core(config, 1)
    first.add_domain_module("law", "lite", seed=0)
    assert list(first.config.domain_modules) == ["law"]
    assert first.model.config is first.config
    assert not config.domain_modules
    assert not second.config.domain_modules


@pytest.mark.parametrize("form", FORMS)
def test_routers_start_at_one_and_learn_once_their_module_does_something(form):
    core = build_core(tiny_config(router=True), 0)
    module = core.add_domain_module("law", form, seed=0)
    router, ids = core.model.routers["law"], draw_ids(2, 9)
    assert torch.equal(router(torch.randn(3, 16)), torch.ones(3, 1))
    for does_something in (False, True):
        if does_something:
            perturb(module)
        core.zero_grad()
        core(input_ids=ids, labels=ids).loss.backward()
        for parameter in router.parameters():
            assert bool(parameter.grad.abs().max() > 1e-8) is does_something
        for projection in module.last_projections():  # a module learns from the first step on
            assert projection.weight.grad.abs().max() > 0


def test_without_routers_a_core_has_none():
    core = tiny_core({"law": "lite"})
    assert not any("routers" in name for name in core.state_dict())
    named = tiny_core({"law": "lite"}, router=True).state_dict()
    assert {"model.routers.law.weight", "model.domain_modules.law.a"} <= set(named)


def test_a_module_switched_on_while_generating_is_refused():
    core = tiny_core({"law": "full"})
    core.set_active("law", False)
    ids = draw_ids(1, 6)
    cache = core(input_ids=ids, use_cache=True).past_key_values
    core.set_active("law", True)
    with pytest.raises(InputError, match="has not read all"):
        core(input_ids=ids[:, :1], past_key_values=cache)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda core: core.add_domain_module("law", "lite", seed=0), "already"),
        (lambda core: core.add_domain_module("a b", "lite", seed=0), "cannot have this name"),
        (lambda core: core.add_domain_module("half", "lite", seed=0), "taken the name"),
        (lambda core: core.add_domain_module("tax", "big", seed=0), "no such form"),
        (lambda core: core.set_active("tax", True), "no domain module"),
        (lambda core: core.set_active("law", 1), "switch"),
        (lambda core: core.set_weight("law", float("inf")), "finite"),
        (lambda core: core.remove_domain_module("tax"), "no domain module"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(attempt, message):
    core = tiny_core({"law": "lite"})
    before = dict(core.config.domain_modules)
    with pytest.raises(InputError, match=message):
        attempt(core)
    assert core.config.domain_modules == before
    assert list(core.model.domain_modules) == ["law"]
