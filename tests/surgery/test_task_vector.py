"""Task vectors: whole, and cut to pairs, against a decomposition of the matrices themselves."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.calibration.tiny_training import windows_of
from tests.tiny import tiny_backbone
from transplant.backbones.views import view_of
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.start import adapted_maps
from transplant.surgery.task_vector import added_to, cut_to_pairs, leading, same_weights
from transplant.text.tokenizers import train_tokenizer


def moved(backbone, scale, seed, rank=None):
    """The same with weights that changed a little: all of them, or linear maps by a low rank."""
    model, draw = copy.deepcopy(backbone.model), torch.Generator().manual_seed(seed)
    maps = adapted_maps(backbone, 2, 2.0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if rank is None:
                parameter += scale * torch.randn(parameter.shape, generator=draw)
            elif name.removesuffix(".weight") in maps and name.endswith(".weight"):
                out, into = parameter.shape
                b, a = (torch.randn(*s, generator=draw) for s in ((out, rank), (rank, into)))
                parameter += scale * b @ a
    return view_of(f"{backbone.name}-{seed}", model, backbone.tokenizer)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def base(request, tiny_texts):
    """A Llama with a head of its own; a GPT-2, whose maps lie the other way and head is tied."""
    bpe = train_tokenizer("bpe", tiny_texts, 330, context=128)
    return tiny_backbone(request.param, bpe, seed=1)


def test_added_to_the_base_it_is_the_fine_tune_and_to_another_the_sum(base):
    tuned, target = moved(base, 0.02, 5), moved(base, 0.1, 6)
    assert same_weights(base, tuned, target)
    ours, theirs, other = (one.model.state_dict() for one in (base, tuned, target))
    before = {name: value.clone() for name, value in other.items()}
    for name, value in added_to(base, tuned, base).model.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-5, atol=1e-6)
    half = added_to(base, tuned, target, 0.5).model.state_dict()
    for name, value in half.items():
        expected = other[name] + 0.5 * (theirs[name] - ours[name])
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6)
    assert all(torch.equal(v, before[n]) for n, v in target.model.state_dict().items())


@torch.no_grad()
def test_a_change_of_low_rank_is_cut_to_pairs_without_a_loss(base, tiny_corpus):
    tuned, maps = moved(base, 0.1, 7, rank=3), adapted_maps(base, 3, 3.0)
    windows = windows_of(base, tiny_corpus[:2])

    def states(backbone, rank=None):
        if rank is None:
            return backbone.run(windows).h_last
        with LoraModel("cut", backbone, cut_to_pairs(base, tuned, maps, rank)).inside():
            return backbone.run(windows).h_last

    expected = states(tuned)
    torch.testing.assert_close(states(base, 3), expected, rtol=1e-3, atol=1e-3)
    for control in (states(base), states(base, 1)):
        assert (control - expected).abs().max() > 0.05


def test_of_a_matrix_the_leading_directions_are_those_of_its_decomposition():
    draw = torch.Generator().manual_seed(3)
    sizes = torch.tensor([9.0, 7.0, 5.0, 3.0, *[0.3] * 26])
    u, v = (torch.linalg.qr(torch.randn(n, 30, generator=draw)).Q for n in (50, 40))
    matrix = (u * sizes) @ v.T
    a, b = leading(matrix, 4, draw)
    torch.testing.assert_close(b @ a, (u[:, :4] * sizes[:4]) @ v[:, :4].T, rtol=1e-3, atol=1e-3)


def test_other_shapes_have_no_task_vector(base):
    other = tiny_backbone("gpt2" if base.family != "gpt2" else "llama", base.tokenizer)
    assert not same_weights(base, other, base)
