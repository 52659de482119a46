"""Domain modules inside a core: as a correction, and run by the core itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.backbones.layercake_cores import LAYERS, draw_ids, logits_of, perturb, tiny_core
from transplant.backbones.core import CoreBackbone
from transplant.backbones.fingerprint import hash_parameters, hash_tensors
from transplant.backbones.layercake import FORMS
from transplant.backbones.layercake.names import FORM_NAMES
from transplant.backbones.load import view_of
from transplant.errors import InputError, ShapeError
from transplant.modules.core import CoreCorrection, CoreHosted, core_interface, untrained_in_core
from transplant.modules.forms import CORE_FORMS, FullModule, LiteModule, module_from_tensors
from transplant.text.windows import cut_windows

SIDE_BY_SIDE = {"law": "lite", "code": "full", "tales": "lite"}
WEIGHT = 0.625


@pytest.fixture(scope="module")
def windows(tiny_corpus, tiny_tokenizer):
    """Four windows of three lengths, none of them of the same text."""
    cut = [cut_windows(tiny_corpus[n : n + 1], tiny_tokenizer, size) for n, size in LENGTHS]
    return [pieces[0] for pieces in cut]


LENGTHS = ((0, 9), (1, 23), (2, 23), (3, 17))


def core_of(tokenizer, forms, **changes) -> CoreBackbone:
    core = tiny_core(forms, vocab_size=len(tokenizer), **changes)
    view = view_of("cake", core, tokenizer)
    assert isinstance(view, CoreBackbone)
    return view


def drawn_module(form, d_abi=16) -> Any:
    """A module that says something: a new one is silent."""
    return drawn(CORE_FORMS[form](d_abi))


def drawn(module: Any) -> Any:
    return perturb(module).eval()


def correction_of(core, module) -> Any:
    return CoreHosted(core, module).correction


def draw_z(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


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


def test_every_form_of_a_core_has_its_domain_module():
    assert [*CORE_FORMS] == [*FORMS] == [*FORM_NAMES]
    for name, form in FORMS.items():
        assert issubclass(CORE_FORMS[name], form)


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


@pytest.mark.parametrize("form", FORM_NAMES)
def test_a_missing_or_unknown_tensor_is_named(form):
    tensors = dict(CORE_FORMS[form](16).state_dict())
    with pytest.raises(ShapeError, match=r"extra.*no such tensor"):
        module_from_tensors({**tensors, "extra": torch.zeros(1)})
    del tensors["a"]
    with pytest.raises(ShapeError, match=r"domain module: a: .*nothing"):
        module_from_tensors(tensors)
    with pytest.raises(ShapeError, match="no domain module"):
        module_from_tensors({"a": torch.zeros(())})


@pytest.mark.parametrize("form", FORM_NAMES)
def test_a_new_module_changes_nothing_and_has_a_gradient(form, tiny_tokenizer, windows):
    core = core_of(tiny_tokenizer, {})
    correction: Any = untrained_in_core(core, form, 0)
    states = core.read(windows, correction.taps).labelled()
    change = correction(states.taps, states.windows)
    assert not change.any()
    logits = core.head(states.h_last + change)
    torch.nn.functional.cross_entropy(logits, states.labels).backward()
    for projection in correction.module.last_projections():
        assert projection.weight.grad.abs().max() > 0
    asking = {name for name, p in correction.named_parameters() if p.requires_grad}
    assert asking == {f"module.{name}" for name, _ in correction.module.named_parameters()}
    assert all(p.grad is None for name, p in correction.named_parameters() if name not in asking)
    assert all(p.grad is None for p in core.model.parameters())
    with torch.no_grad():
        drawn(correction.module)
        assert (correction(states.taps, states.windows)).abs().max() > 0.01  # the control: it can


@pytest.mark.parametrize("form", FORM_NAMES)
def test_a_new_module_is_the_one_that_the_core_would_add(form, tiny_tokenizer):
    core = core_of(tiny_tokenizer, {})
    made, again, other = (untrained_in_core(core, form, seed).module for seed in (5, 5, 6))
    added = core.model.add_domain_module("tales", form, seed=5)
    sha = hash_tensors(made.state_dict())
    assert sha == hash_tensors(again.state_dict()) == hash_tensors(added.state_dict())
    assert sha != hash_tensors(other.state_dict())


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


@pytest.mark.parametrize("form", FORM_NAMES)
def test_the_untrained_twin_has_the_shapes_the_scale_and_none_of_the_bytes(form):
    donor, z = drawn_module(form, 32), draw_z(3, 7, 32)
    twin, again, other = (donor.untrained(torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert type(twin) is type(donor)
    for name, tensor in twin.state_dict().items():
        own = donor.state_dict()[name]
        assert tensor.shape == own.shape
        if tensor.numel() == 1:  # the scalar has no spread: it is the donor's
            torch.testing.assert_close(tensor, own)
            continue
        assert not torch.equal(tensor, own)
        error = 5 * own.std() / own.numel() ** 0.5
        torch.testing.assert_close(tensor.mean(), own.mean(), rtol=0, atol=float(error))
        torch.testing.assert_close(tensor.std(), own.std(), rtol=0.5, atol=0)
    assert hash_tensors(twin.state_dict()) == hash_tensors(again.state_dict())
    assert hash_tensors(twin.state_dict()) != hash_tensors(other.state_dict())
    loudness = twin.y(z).std() / donor.y(z).std()
    assert 0.3 < loudness < 3
    assert not CORE_FORMS[form](32).y(z).any()  # the control: a new one is silent


def test_a_lite_module_reads_each_position_alone_and_a_full_one_its_window():
    z = draw_z(6, 16)
    owner = torch.tensor([0, 0, 0, 1, 1, 1])
    for form, module in ((f, drawn_module(f)) for f in FORM_NAMES):
        assert module.reads_windows == (form == "full")
        changed = z.clone()
        changed[0, 3] += 1.0  # one dimension: a LayerNorm does not see all of them rise
        moved = (module.y(changed, owner) - module.y(z, owner)).abs().amax(-1) > 1e-4
        assert moved.tolist() == [True, *[form == "full"] * 2, False, False, False]
    lite = drawn_module("lite")
    assert isinstance(lite, LiteModule)
    assert torch.equal(lite.y(z, owner), lite.y(z))
    torch.testing.assert_close(lite.y(z), lite(z) - z)


@pytest.mark.parametrize("lengths", [(5,), (3, 8, 1, 8), (1, 1, 1), (9, 2)])
def test_rows_of_several_windows_are_each_window_alone(lengths):
    module = drawn_module("full")
    assert isinstance(module, FullModule)
    z = draw_z(sum(lengths), 16)
    # As a batch leaves them: the windows are ascending, and one of them may have no row.
    owner = torch.repeat_interleave(2 * torch.arange(len(lengths)), torch.tensor(lengths))
    found = module.y(z, owner)
    assert found.shape == z.shape
    alone = torch.cat([module.y(part[None])[0] for part in z.split(lengths)])
    torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-5)
    if len(lengths) > 1:  # the control: as one window they are not
        assert (module.y(z[None])[0] - found)[lengths[0] :].abs().max() > 0.01


def test_a_later_row_changes_no_earlier_one():
    module, z = drawn_module("full"), draw_z(12, 16)
    owner = torch.tensor([0] * 7 + [1] * 5)
    found = module.y(z, owner)
    for row in (3, 6, 7, 11):
        changed = z.clone()
        changed[row, 3] += 1.0
        moved = (module.y(changed, owner) - found).abs().amax(-1)
        same_window = (owner == owner[row]) & (torch.arange(12) >= row)
        assert moved[~same_window].max() <= 1e-6
        assert moved[same_window].min() > 1e-3


def test_half_precision_of_the_core_leaves_the_module_its_own(tiny_tokenizer, windows):
    core = core_of(tiny_tokenizer, {"tales": "lite"})
    core.model.to(torch.bfloat16)
    correction = untrained_in_core(core, "full", 0)
    drawn(correction.module)
    assert {p.dtype for p in correction.parameters()} == {torch.float32}
    states = core.read(windows, correction.taps)
    assert correction(states.taps, states.windows).dtype == torch.bfloat16
