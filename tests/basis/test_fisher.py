"""The Fisher score is the squared slope of a sequence's loss by the scale of one direction."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.basis.budget import check_felt
from transplant.basis.config import FitConfig
from transplant.basis.fisher import fisher_scores
from transplant.basis.fit import fit_basis
from transplant.basis.maps import select_maps
from transplant.errors import InputError, NumericalError
from transplant.training.losses import next_token_loss


def slopes_by_difference(backbone, of, u, windows, step=1e-3):
    """d loss / d a of each window, where y becomes y + a u u' y at every position; float64."""
    slopes = []
    for window in windows:
        losses = []
        for scale in (step, -step):

            def scaled(_m, _args, output, scale=scale):
                y = output if of.bias is None else output - of.bias
                return output + scale * (y @ u)[..., None] * u

            hook = of.module.register_forward_hook(scaled)
            states = backbone.read([window]).labelled()
            loss = next_token_loss(backbone, states.h_last, states.labels).double()
            losses.append(float(loss) * len(states))
            hook.remove()
        slopes.append((losses[0] - losses[1]) / (2 * step))
    return torch.tensor(slopes, dtype=torch.float64)


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_scores_are_squared_slopes_of_sequences(backbones, windows, family):
    backbone, few = backbones(family), windows[:5]
    maps = select_maps(backbone)[1::5]
    basis = fit_basis(backbone, maps, windows, FitConfig(max_rank=3))
    with backbone.frozen():
        scores = fisher_scores(backbone, maps, basis.spectra, few)
    for of in maps[:3]:
        u = basis.spectra[of.name].vectors[:, 1].float()
        slopes = slopes_by_difference(backbone, of, u, few)
        assert float(scores[of.name][1]) == pytest.approx(float(slopes.square().mean()), rel=0.05)
        pooled = float(slopes.mean()) ** 2  # control: the square of the mean is another number
        assert pooled != pytest.approx(float(scores[of.name][1]), rel=0.05)


def test_products_in_bfloat16_are_near_those_of_the_same_outputs_in_float32(
    tiny_tokenizer, windows, monkeypatch
):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    backbone.model.to(torch.bfloat16)
    maps = select_maps(backbone)
    basis = fit_basis(backbone, maps, windows, FitConfig(max_rank=6))
    with backbone.frozen():
        found = fisher_scores(backbone, maps, basis.spectra, windows)
        monkeypatch.setattr("transplant.basis.fisher.products_in", lambda _dtype: torch.float32)
        exact = fisher_scores(backbone, maps, basis.spectra, windows)
        other = fisher_scores(backbone, maps, basis.spectra, windows[:3])
    off, far = (
        sum(float((scores[name] - exact[name]).abs().sum()) for name in exact)
        for scores in (found, other)
    )
    total = sum(float(score.sum()) for score in exact.values())
    assert 0 < off < 0.02 * total
    assert far > 0.2 * total  # control: another text


def test_batches_do_not_mix_sequences(backbones, windows, monkeypatch):
    backbone = backbones("llama")
    maps = select_maps(backbone)[:2]
    basis = fit_basis(backbone, maps, windows, FitConfig(max_rank=4))
    together = fisher_scores(backbone, maps, basis.spectra, windows)
    monkeypatch.setattr("transplant.basis.fisher.TOKENS", 1)
    alone = fisher_scores(backbone, maps, basis.spectra, windows)
    for name, score in together.items():
        assert torch.allclose(score, alone[name], rtol=1e-3)
    assert all(parameter.grad is None for parameter in backbone.model.parameters())


def test_maps_that_the_loss_does_not_depend_on_are_no_ground_to_allocate_by(
    tiny_tokenizer, windows
):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    maps = select_maps(backbone, "q_proj")
    basis = fit_basis(backbone, maps, windows, FitConfig(max_rank=4))
    check_felt(fisher_scores(backbone, maps, basis.spectra, windows))  # the control
    for found in select_maps(backbone, "o_proj"):  # as blocks that are inserted begin
        found.module.weight.data.zero_()
    with pytest.raises(InputError, match="does not depend on any of 2 maps"):
        check_felt(fisher_scores(backbone, maps, basis.spectra, windows))


def test_a_gradient_that_is_no_number_is_refused_at_its_batch(tiny_tokenizer, windows, monkeypatch):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    maps = select_maps(backbone)
    basis = fit_basis(backbone, maps, windows, FitConfig(max_rank=4))
    monkeypatch.setattr("transplant.basis.fisher.TOKENS", 1)
    told = []

    def scored():
        told.clear()
        return fisher_scores(
            backbone, maps, basis.spectra, windows, progress=lambda *one: told.append(one)
        )

    scored()
    assert len(told) == len(windows)  # the control: a batch for each
    backbone.model.model.norm.weight.data.fill_(torch.nan)
    with pytest.raises(NumericalError, match=r"the gradient at .* is NaN or infinite"):
        scored()
    assert told == []
