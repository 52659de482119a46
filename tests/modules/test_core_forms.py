"""The forms of a core's domain module, outside any core; and new ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.modules.core_cases import core_of, draw_z, drawn, drawn_module
from transplant.backbones.fingerprint import hash_tensors
from transplant.backbones.layercake import FORMS
from transplant.backbones.layercake.names import FORM_NAMES
from transplant.errors import ShapeError
from transplant.modules.core import untrained_in_core
from transplant.modules.forms import CORE_FORMS, FullModule, LiteModule, module_from_tensors

pytestmark = pytest.mark.bits


def test_every_form_of_a_core_has_its_domain_module():
    assert [*CORE_FORMS] == [*FORMS] == [*FORM_NAMES]
    for name, form in FORMS.items():
        assert issubclass(CORE_FORMS[name], form)


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
    scale = twin.y(z).std() / donor.y(z).std()
    assert 0.3 < scale < 3
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
