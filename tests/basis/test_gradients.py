"""Directions of gradients: what they are of, what a rank misses, what a kept text bears."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.basis.tiny_basis import ragged_windows, rows_one_by_one
from tests.tiny import tiny_backbone
from transplant.basis.adapter import BasisAdapter, adapter_of, reading_subspace
from transplant.basis.config import GRADIENTS, FitConfig
from transplant.basis.fit import basis_from_tensors
from transplant.basis.gradients import (
    InputMoments,
    fit_gradients,
    reading_directions,
    whitener,
)
from transplant.basis.maps import select_maps
from transplant.basis.slopes import slopes_of
from transplant.basis.spectrum import Spectrum
from transplant.basis.train import mean_loss
from transplant.errors import NumericalError
from transplant.ranks import Ranks
from transplant.training.losses import next_token_loss

CONFIG = FitConfig(directions=GRADIENTS, max_rank=6)
EXACT = FitConfig(directions=GRADIENTS, shrinkage=0.0, floor=1e-12)


@pytest.fixture
def kept(tiny_tokenizer):
    return ragged_windows(len(tiny_tokenizer), seed=1)


def slopes_by_autograd(backbone, maps, windows) -> dict[str, torch.Tensor]:
    """dLoss/dW of windows that are read alone."""
    found = {m.name: torch.zeros(m.out, m.into) for m in maps}
    for m in maps:
        m.module.weight.requires_grad_(True)
    for window in windows:
        states = backbone.run([window]).labelled()
        (next_token_loss(backbone, states.h_last, states.labels) * len(states)).backward()
        for m in maps:
            gradient = m.module.weight.grad
            found[m.name] += gradient if gradient.shape == (m.out, m.into) else gradient.T
            m.module.weight.grad = None
    for m in maps:
        m.module.weight.requires_grad_(False)
    return found


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3_text", "t5", "qwen2"])
def test_gradients_are_those_of_the_weights(tiny_tokenizer, windows, family):
    backbone = tiny_backbone(family, tiny_tokenizer)
    maps = [m for m in select_maps(backbone) if m.out != m.into or family != "gpt2"]
    with backbone.frozen():
        found = slopes_of(backbone, maps, windows)
        other = slopes_of(backbone, maps, windows[:5])  # the control: other text
    for name, exact in slopes_by_autograd(backbone, maps, windows).items():
        assert (found[name] - exact).abs().max() <= 1e-3 * exact.abs().max()
        assert (other[name] - exact).abs().max() > 0.05 * exact.abs().max()


def test_the_text_that_is_kept_is_where_z_is_white(backbones, windows, kept):
    backbone = backbones("llama")
    maps = select_maps(backbone)
    basis = fit_gradients(backbone, maps, windows, kept, EXACT)
    for of in maps:
        spectrum = basis.spectra[of.name]
        x, y = rows_one_by_one(backbone, of, kept)
        scale = y.square().mean(1).log().mean().exp()  # of an entry of W x
        z = x @ spectrum.vectors
        unit = torch.eye(spectrum.kept, dtype=z.dtype)
        assert (z.T @ z / len(z) / scale - unit).abs().max() < 2e-2
        x, _ = rows_one_by_one(backbone, of, windows)  # the control: the domain
        z = x @ spectrum.vectors
        assert (z.T @ z / len(z) / scale - unit).abs().max() > 0.1


def test_a_step_along_them_lowers_the_loss_and_one_beside_them_less(backbones, windows, kept):
    backbone = backbones("llama")
    maps = select_maps(backbone)
    basis = fit_gradients(backbone, maps, windows, kept, CONFIG)
    adapter = adapter_of(maps, basis, dict.fromkeys(basis.spectra, 4))
    with backbone.frozen():
        slopes = slopes_of(backbone, maps, windows)

    def after(places: BasisAdapter) -> float:
        """The loss after a step of one size down the gradient of B = G R'."""
        steps = [slopes[n] @ s.r.T for n, s in places.subspaces.items()]
        size = torch.stack([step.square().sum() for step in steps]).sum().sqrt()
        for c, step in zip(places.c, steps, strict=True):
            c.data.copy_(-0.2 * step / size)
        with places.attached(maps):
            return mean_loss(backbone, windows)

    raw = mean_loss(backbone, windows)
    along = after(adapter)
    last = {n: Spectrum(s.vectors[:, -2:], s.energies) for n, s in basis.spectra.items()}
    places = {m.name: reading_subspace(last[m.name], 2, m.out) for m in maps}
    assert along < after(BasisAdapter(places)) < raw


@dataclass(frozen=True)
class Drawn:
    """A gradient G [out, in], W, rows x [rows, in] of the text that is kept, and a rank."""

    slope: torch.Tensor
    weight: torch.Tensor
    x: torch.Tensor
    rank: int

    @property
    def moment(self) -> torch.Tensor:
        return self.x.T @ self.x / len(self.x)

    @property
    def scale(self) -> float:
        return float((self.x @ self.weight.T).square().mean()) ** 0.5

    @property
    def spectrum(self) -> Spectrum:
        return reading_directions(self.slope, whitener(self.moment, EXACT), self.scale, EXACT)


@st.composite
def gradients(draw) -> Drawn:
    out, into = draw(st.integers(2, 12)), draw(st.integers(2, 12))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scales = 10.0 ** torch.tensor(draw(st.lists(st.integers(-1, 1), min_size=into, max_size=into)))
    slope, weight = (
        torch.randn(out, into, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    x = torch.randn(60, into, generator=generator, dtype=torch.float64) * scales
    return Drawn(slope, weight, x, draw(st.integers(1, min(out, into))))


EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


@EXAMPLES
@given(gradients())
def test_the_mean_square_of_the_change_is_that_of_b_at_the_scale_of_the_map(drawn):
    b = torch.randn(len(drawn.weight), drawn.rank, generator=torch.Generator().manual_seed(0))
    places = BasisAdapter({"map": reading_subspace(drawn.spectrum, drawn.rank, len(drawn.weight))})
    assert torch.equal(places.change("map", drawn.x.float()), torch.zeros(60, len(b)))  # step 0
    places.c[0].data.copy_(b)
    change = places.as_lora().pairs["map"].delta.double()
    wanted = drawn.scale**2 * b.double().square().sum()
    assert abs((drawn.x @ change.T).square().sum(1).mean() - wanted) < 1e-3 * wanted
    other = (1.1 * drawn.x @ change.T).square().sum(1).mean()  # the control: other rows
    assert abs(other - wanted) > 0.1 * wanted


@EXAMPLES
@given(gradients())
def test_what_a_rank_misses_of_the_gradient_is_the_energy_that_it_drops(drawn):
    spectrum, rank = drawn.spectrum, drawn.rank
    seen = drawn.slope @ spectrum.vectors[:, :rank] / drawn.scale
    whole = spectrum.energies.sum()
    assert abs(whole - seen.square().sum() - spectrum.error(rank)) < 1e-6 * whole
    turned = torch.randn(len(drawn.x.T), rank, generator=torch.Generator().manual_seed(rank))
    random = whitener(drawn.moment, EXACT) @ torch.linalg.qr(turned.double()).Q  # the control
    assert (drawn.slope @ random).square().sum() <= seen.square().sum() * (1 + 1e-9)


def test_directions_of_a_bound_rank_are_the_first_ones(backbones, windows, kept):
    backbone = backbones("llama")
    maps = select_maps(backbone, "q_proj,down_proj")
    few = fit_gradients(backbone, maps, windows, kept, CONFIG)
    assert few.directions == GRADIENTS
    assert {s.kept for s in few.spectra.values()} == {6}
    assert few.rows == dict.fromkeys(few.spectra, sum(map(len, kept)))


def test_two_processes_see_what_one_sees(backbones, windows):
    backbone = backbones("llama")
    maps = select_maps(backbone, "q_proj,down_proj")
    with backbone.frozen():
        whole = slopes_of(backbone, maps, windows)
        parts = [
            slopes_of(backbone, maps, [windows[i] for i in Ranks(n, 2).turns(len(windows))])
            for n in range(2)
        ]
    for name, slope in whole.items():
        summed = parts[0][name] + parts[1][name]
        assert (summed - slope).abs().max() <= 1e-4 * slope.abs().max()


def test_a_map_that_gives_nothing_has_no_direction(tiny_tokenizer, windows, kept):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    maps = select_maps(backbone, "up_proj,down_proj")
    maps[0].module.weight.data.zero_()
    basis = fit_gradients(backbone, maps, windows, kept, CONFIG)
    found = [basis.spectra[m.name].kept > 0 for m in maps]
    assert found == [False, False, True, True]  # what follows reads nothing but zeros


def test_a_gradient_that_is_no_number_is_named(tiny_tokenizer, windows, kept):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    maps = select_maps(backbone)
    backbone.model.model.norm.weight.data.fill_(torch.nan)
    with pytest.raises(NumericalError, match=r"the gradient at .* is NaN or infinite"):
        fit_gradients(backbone, maps, windows, kept, CONFIG)
    broken = tiny_backbone("llama", tiny_tokenizer)
    broken.model.model.layers[1].input_layernorm.weight.data.fill_(torch.nan)
    maps = select_maps(broken)
    with pytest.raises(NumericalError, match=r"inputs of .*layers.1.* are NaN or infinite"):
        InputMoments(broken, maps, kept[0]).read(kept)


def test_a_basis_of_gradients_is_read_back_and_its_adapter_writes_anywhere(
    backbones, windows, kept
):
    backbone = backbones("gpt2")
    maps = select_maps(backbone)
    basis = fit_gradients(backbone, maps, windows, kept, CONFIG)
    again = basis_from_tensors(basis.stored(), basis.rows, GRADIENTS)
    for name, spectrum in basis.spectra.items():
        scale = spectrum.vectors.abs().max()
        assert torch.allclose(again.spectra[name].vectors.double() / scale,
                              spectrum.vectors / scale, atol=1e-6)  # fmt: skip
    adapter = adapter_of(maps, again, dict.fromkeys(basis.spectra, 3))
    assert adapter.trainable == sum(3 * m.out for m in maps)
    for c in adapter.c:
        c.data.normal_(generator=torch.Generator().manual_seed(1))
    read = BasisAdapter.from_tensors(adapter.as_tensors())
    x = torch.randn(5, maps[0].into)
    assert torch.equal(read.change(maps[0].name, x), adapter.change(maps[0].name, x))
    pair = adapter.as_lora().pairs[maps[0].name]
    assert torch.allclose(x @ pair.delta.T, adapter.change(maps[0].name, x), atol=1e-4)
