"""Rows of text among positions, and which outputs ask for gradients."""

from __future__ import annotations

import pytest
import torch

from transplant.basis.fisher import with_gradients
from transplant.basis.maps import select_maps
from transplant.basis.slopes import slopes_of
from transplant.basis.watch import rows_at


def test_rows_of_text_are_those_of_the_mask_and_of_all_positions_no_copy():
    states = torch.arange(24.0).reshape(2, 3, 4)
    mask = torch.ones(2, 3, dtype=torch.bool)
    assert rows_at(states, mask).data_ptr() == states.data_ptr()
    assert torch.equal(rows_at(states, mask), states.reshape(6, 4))
    mask[0, 2] = mask[1, 0] = False
    assert torch.equal(rows_at(states, mask), states.reshape(6, 4)[[0, 1, 4, 5]])


@pytest.mark.parametrize("layer", [0, 1])
def test_nothing_below_the_first_map_asks_for_gradients(backbones, windows, layer):
    backbone = backbones("llama")
    every = {m.name: m for m in select_maps(backbone)}
    asks, hooks = {}, []
    for name, found in every.items():
        told = lambda _m, _a, output, name=name: asks.update({name: output.requires_grad})  # noqa: E731
        hooks.append(found.module.register_forward_hook(told))
    with with_gradients([m for m in every.values() if m.layer == layer]):
        backbone.run(windows[:2])
    for hook in hooks:
        hook.remove()
    assert asks == {name: found.layer >= layer for name, found in every.items()}


def test_a_model_may_write_to_the_output_of_a_map_in_place(backbones, windows):
    backbone = backbones("llama")
    maps = select_maps(backbone, "q_proj")  # OLMo clamps what these give, in place

    def slopes(clamp):
        hooks = [m.module.register_forward_hook(lambda _m, _a, out: clamp(out)) for m in maps]
        try:
            return slopes_of(backbone, maps, windows)
        finally:
            for hook in hooks:
                hook.remove()

    there = slopes(lambda out: out.clamp_(-0.5, 0.5))
    beside = slopes(lambda out: out.clamp(-0.5, 0.5))
    free = slopes(lambda _: None)  # the control
    for name, slope in there.items():
        torch.testing.assert_close(slope, beside[name])
        assert (slope - free[name]).abs().max() > 1e-3 * free[name].abs().max()
