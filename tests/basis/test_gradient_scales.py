"""Directions of gradients: the scale of a map, and the two ways to whiten."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.basis.tiny_basis import rows_one_by_one
from tests.tiny import tiny_backbone
from transplant.basis.config import GRADIENTS, FitConfig
from transplant.basis.gradients import InputMoments, reading_directions, whitener
from transplant.basis.log_mean import LogMean
from transplant.basis.maps import LinearMap, select_maps
from transplant.errors import NumericalError


def test_the_scale_of_a_map_is_what_is_usual_for_its_outputs(backbones, windows):
    backbone = backbones("gpt2")  # whose maps have a bias, which is no part of W x
    of: LinearMap = select_maps(backbone, "mlp.c_fc")[0]
    nn.init.normal_(of.module.get_parameter("bias"))
    moments = InputMoments(backbone, [of], windows[0])
    moments.read(windows)
    _, y = rows_one_by_one(backbone, of, windows)
    sizes = y.square().mean(1).sqrt()
    assert moments.output_scale(of) == pytest.approx(float(sizes.log().mean().exp()), rel=1e-3)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_outputs_that_are_no_numbers_are_named_and_rule_no_scale(tiny_tokenizer, windows, value):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    maps = select_maps(backbone, "down_proj")
    moments = InputMoments(backbone, maps, windows[0])
    moments.read(windows)  # the control
    assert all(0 < moments.output_scale(of) < 1e6 for of in maps)
    maps[-1].module.get_parameter("weight").data[0, 0] = value  # no map reads what it gives
    with pytest.raises(NumericalError, match=f"outputs of {maps[-1].name} are NaN or infinite"):
        moments.read(windows)


def test_a_few_massive_rows_do_not_rule_a_scale():
    rows = torch.randn(200, 16, generator=torch.Generator().manual_seed(0))
    usual, massive = LogMean(), LogMean()
    usual.update(rows)
    rows[0] *= 1000
    rows[1] = 0.0  # a row of zeros is no size
    massive.update(rows)
    assert massive.mean() == pytest.approx(usual.mean(), rel=0.05)
    assert rows.square().mean().sqrt() > 50 * usual.mean()  # the control: as a mean of squares does
    assert LogMean().mean() == 0.0


@pytest.mark.parametrize("width", [3, 40])
def test_either_way_to_whiten_gives_the_same_directions(width):
    generator = torch.Generator().manual_seed(width)
    x = torch.randn(200, width, generator=generator, dtype=torch.float64)
    slope = torch.randn(7, width, generator=generator, dtype=torch.float64)
    moment = x.T @ x / len(x)
    triangular = FitConfig(directions=GRADIENTS)
    floored = FitConfig(directions=GRADIENTS, floor=0.9 / width)  # by eigenvectors
    ways = [whitener(moment, config) for config in (triangular, floored)]
    shrunk = 0.95 * moment + 0.05 * moment.diagonal().mean() * torch.eye(width).double()
    for way in ways:
        assert (way.T @ shrunk @ way - torch.eye(width)).abs().max() < 1e-9
    assert (ways[0] - ways[1]).abs().max() > 1e-3  # they are two ways
    one, other = (reading_directions(slope, way, 2.0, triangular).vectors for way in ways)
    assert (one @ one.T - other @ other.T).abs().max() < 1e-9 * (one @ one.T).abs().max()
