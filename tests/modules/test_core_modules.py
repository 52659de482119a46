"""Domain modules inside a core: as a correction, and run by the core itself."""

from __future__ import annotations

import pytest
import torch

from tests.backbones.layercake_cores import LAYERS, draw_ids, logits_of, tiny_core
from tests.modules.core_cases import SIDE_BY_SIDE, WEIGHT, core_of, correction_of, drawn
from transplant.backbones.fingerprint import hash_parameters, hash_tensors
from transplant.backbones.layercake.names import FORM_NAMES
from transplant.errors import InputError
from transplant.modules.core import CoreCorrection, CoreHosted, core_interface, untrained_in_core
from transplant.modules.forms import CORE_FORMS, module_from_tensors

pytestmark = pytest.mark.bits


@torch.no_grad()
def corrected(core, correction, windows):
    """What a reader of rows computes: the head of h_last and the correction."""
    states = core.read(windows, correction.taps)
    change = correction(states.taps, states.windows)
    return core.head(states.h_last + change), core.head(states.h_last), states


@pytest.mark.parametrize("weight", [1.0, WEIGHT])
@pytest.mark.parametrize("router", [False, True])
@pytest.mark.parametrize("form", FORM_NAMES)
def test_the_correction_is_what_the_core_computes_with_the_module(
    form, router, weight, tiny_tokenizer, windows
):
    core = core_of(tiny_tokenizer, {"tales": form}, router=router)
    core.model.set_weight("tales", weight)
    hosted = CoreHosted(core, "tales")
    found, raw, states = corrected(core, hosted.correction, windows)
    for number, window in enumerate(windows):
        rows = states.windows == number
        expected = hosted(input_ids=torch.tensor([window.ids])).logits[0]
        torch.testing.assert_close(found[rows], expected, rtol=1e-5, atol=5e-5)
        assert (raw[rows] - expected).abs().amax(-1).min() > 0.01  # it says something everywhere


@pytest.mark.parametrize("change", ["weight", "router", "windows"])
def test_weight_router_and_windows_each_matter_to_the_correction(change, tiny_tokenizer, windows):
    """The control: leaving one of them out is not what the core computes."""
    core = core_of(tiny_tokenizer, {"tales": "full"}, router=True)
    core.model.set_weight("tales", WEIGHT)
    correction = correction_of(core, "tales")
    module, router = correction.module, correction.router
    weight, kept = (1.0, router) if change == "weight" else (WEIGHT, router)
    other = CoreCorrection(core, module, weight, None if change == "router" else kept)
    states = core.read(windows, correction.taps)
    owner = torch.zeros_like(states.windows) if change == "windows" else states.windows
    with torch.no_grad():
        found, expected = other(states.taps, owner), correction(states.taps, states.windows)
    assert (found - expected).abs().max() > 0.01


@pytest.mark.parametrize("router", [False, True])
@pytest.mark.parametrize("form", FORM_NAMES)
def test_generation_with_the_cache_equals_greedy_choice_without_it(form, router, tiny_tokenizer):
    forms = {"aside": "full", "tales": form}
    # Untied: a tied head of drawn weights says its own token over and over.
    core = core_of(tiny_tokenizer, forms, router=router, tie_word_embeddings=False)
    hosted, ids = CoreHosted(core, "tales"), draw_ids(2, 7)
    core.model.double()  # so that rounding does not choose between two tokens
    found = hosted.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None)
    expected = ids
    for _ in range(12):
        with torch.no_grad():
            best = hosted(input_ids=expected, use_cache=False).logits[:, -1].argmax(-1)
        expected = torch.cat([expected, best[:, None]], dim=1)
    assert torch.equal(found, expected)
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
    assert not torch.equal(core.model.generate(ids, **options), expected)  # off again: the raw core


@pytest.mark.parametrize("form", FORM_NAMES)
def test_only_inside_the_block_is_the_module_on(form, tiny_tokenizer):
    core = core_of(tiny_tokenizer, {"tales": form})
    hosted, ids = CoreHosted(core, "tales"), draw_ids(1, 8)
    raw = logits_of(core.model, ids)
    with hosted.attached():
        assert core.modules["tales"]["active"]
        inside = logits_of(core.model, ids)
    assert (inside - raw).abs().max() > 0.01
    assert torch.equal(hosted(input_ids=ids).logits, inside)
    assert torch.equal(logits_of(core.model, ids), raw)
    with pytest.raises(RuntimeError, match="stop"), hosted.attached():
        raise RuntimeError("stop")
    assert not core.modules["tales"]["active"]
    with pytest.raises(InputError, match="wrong shape"):
        hosted(input_ids=ids, attention_mask=torch.ones(1, 5))
    assert torch.equal(logits_of(core.model, ids), raw)


def test_the_other_modules_of_the_core_stay_off(tiny_tokenizer):
    core, ids = core_of(tiny_tokenizer, SIDE_BY_SIDE), draw_ids(1, 8)
    everything = logits_of(core.model, ids)  # as it was stored: all of them at work
    for name in SIDE_BY_SIDE:
        hosted = CoreHosted(core, name)
        found = hosted(input_ids=ids).logits
        alone = tiny_core(SIDE_BY_SIDE, vocab_size=len(tiny_tokenizer))
        for other in SIDE_BY_SIDE:
            alone.set_active(other, other == name)
        assert torch.equal(found, logits_of(alone, ids))
        assert not torch.allclose(found, everything, atol=1e-2)
    assert not any(entry["active"] for entry in core.modules.values())


def test_no_bit_of_the_core_moves_and_the_correction_owns_its_tensors(tiny_tokenizer, windows):
    core = core_of(tiny_tokenizer, SIDE_BY_SIDE, router=True)
    before = hash_parameters(core.model)
    with core.frozen():
        correction = correction_of(core, "law")
        corrected(core, correction, windows)
        with torch.no_grad():
            for parameter in correction.parameters():
                parameter.fill_(3.0)
    assert hash_parameters(core.model) == before


def test_a_module_that_is_not_there_is_refused_with_those_that_are(tiny_tokenizer):
    core = core_of(tiny_tokenizer, SIDE_BY_SIDE)
    with pytest.raises(InputError, match=r"no module 'chess'.*law.*code.*tales"):
        CoreHosted(core, "chess")


@pytest.mark.parametrize("name", SIDE_BY_SIDE)
def test_the_tensors_of_a_core_round_trip_under_their_own_names(name, tiny_tokenizer):
    core = core_of(tiny_tokenizer, SIDE_BY_SIDE)
    inside = core.model.model.domain_modules[name].state_dict()
    prefix = f"model.domain_modules.{name}."
    stored = {k.removeprefix(prefix) for k in core.model.state_dict() if k.startswith(prefix)}
    again = module_from_tensors(inside)
    assert type(again) is CORE_FORMS[SIDE_BY_SIDE[name]]
    assert again.state_dict().keys() == stored
    assert hash_tensors(again.state_dict()) == hash_tensors(inside)
    assert hash_tensors(correction_of(core, name).module.state_dict()) == hash_tensors(inside)
    assert hash_tensors(drawn(again).state_dict()) != hash_tensors(inside)


def test_the_interface_is_the_cores_own(tiny_tokenizer, windows):
    core = core_of(tiny_tokenizer, {}, layer_norm_eps=0.3)  # large enough to be seen
    interface = core_interface(core)
    assert interface.taps == (core.before_abi,) == (LAYERS,)
    inner = core.model.model
    x = core.read(windows, interface.taps).taps[core.before_abi]
    z = inner.abi_norm(inner.core_to_abi(x))
    torch.testing.assert_close(interface.read_in({LAYERS: x}), z, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(interface.write_out(z), inner.abi_to_core(z))
    raw = inner.final_norm(x + interface.write_out(z))
    torch.testing.assert_close(raw, core.read(windows).h_last, rtol=1e-5, atol=1e-5)


def test_half_precision_of_the_core_leaves_the_module_its_own(tiny_tokenizer, windows):
    core = core_of(tiny_tokenizer, {"tales": "lite"})
    core.model.to(torch.bfloat16)
    correction = untrained_in_core(core, "full", 0)
    drawn(correction.module)
    assert {p.dtype for p in correction.parameters()} == {torch.float32}
    states = core.read(windows, correction.taps)
    assert correction(states.taps, states.windows).dtype == torch.bfloat16
