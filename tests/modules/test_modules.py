"""Interface, domain module and the hosted model."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import LAYERS, tiny_backbone
from transplant.errors import ShapeError
from transplant.modules.correction import Correction
from transplant.modules.forms import MlpModule, module_from_tensors
from transplant.modules.hosted import HostedModel
from transplant.modules.interface import Interface
from transplant.text.windows import cut_windows
from transplant.training.loop import new_correction

pytestmark = pytest.mark.bits


def busy_correction(backbone, taps=(LAYERS,), d_abi=16, seed=0):
    """A correction that says something: `P_out` starts at zero otherwise."""
    correction = new_correction(backbone.d_model, d_abi, taps, seed)
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.5)
    return correction.eval()


def test_the_equations_of_the_design():
    module = MlpModule(8, generator=torch.Generator().manual_seed(1))
    z = torch.randn(3, 8)
    hidden = torch.nn.functional.gelu(z @ module.w1.weight.T + module.w1.bias)
    inner = hidden @ module.w2.weight.T + module.w2.bias
    normed = torch.nn.functional.layer_norm(inner, (8,), module.norm.weight, module.norm.bias)
    torch.testing.assert_close(module(z), z + module.alpha * normed)
    assert module.w1.weight.shape == (32, 8)


def test_no_shape_of_the_module_knows_a_backbone():
    shapes = {name: tuple(t.shape) for name, t in MlpModule(24).state_dict().items()}
    assert {size for shape in shapes.values() for size in shape} <= {24, 96}


def test_several_taps_are_normed_and_one_is_not():
    one, three = Interface(8, 4, (2,)), Interface(8, 4, (0, 1, 2))
    assert len(one.tap_norms) == 0
    assert len(three.tap_norms) == 3
    taps = {tap: 100 * torch.randn(5, 8) + 7 for tap in (0, 1, 2)}
    assert one.gather(taps) is taps[2]
    gathered = three.gather(taps)
    assert gathered.shape == (5, 24)
    torch.testing.assert_close(gathered[:, :8].mean(-1), torch.zeros(5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("taps", [(1,), (0, 1, 2)])
@pytest.mark.parametrize("normed", [True, False])
def test_norms_of_taps_can_be_asked_for_and_left_out_and_are_rebuilt(taps, normed):
    interface = Interface(8, 4, taps, tap_norms=normed)
    assert len(interface.tap_norms) == normed * len(taps)
    states = {tap: 100 * torch.randn(5, 8) + 7 for tap in taps}
    largest = interface.gather(states).abs().max()
    assert largest < 5 if normed else largest > 20
    again = Interface.from_tensors(interface.state_dict(), taps)
    torch.testing.assert_close(again.read_in(states), interface.read_in(states))


def test_an_untrained_correction_is_zero():
    correction = new_correction(8, 4, (0,), seed=3)
    assert correction({0: torch.randn(6, 8)}).abs().max() == 0


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    first, again, other = (new_correction(8, 4, (0, 1), seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["module.w1.weight"], other["module.w1.weight"])


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt", "t5"])
@pytest.mark.parametrize("taps", [(LAYERS,), (0, LAYERS)])
def test_hosted_logits_are_the_head_of_h_last_plus_the_correction(
    family, taps, tiny_tokenizer, tiny_corpus
):
    backbone = tiny_backbone(family, tiny_tokenizer)
    hosted = HostedModel("m@b", backbone, busy_correction(backbone, taps))
    window = cut_windows(tiny_corpus[:1], tiny_tokenizer, 14)[0]
    ids = torch.tensor([window.ids])
    with torch.no_grad():
        states = backbone.read([window], taps)
        expected = backbone.head(states.h_last + hosted.correction(states.taps))
        found = hosted(input_ids=ids).logits[0]
        raw = HostedModel("b", backbone)(input_ids=ids).logits[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found - raw).abs().max() > 0.01  # the correction is not nothing


def test_generation_with_the_cache_equals_greedy_choice_without_it(tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    hosted = HostedModel("m@b", backbone, busy_correction(backbone, (0, LAYERS)))
    hosted.double()  # so that rounding does not choose between two tokens
    ids = torch.tensor([cut_windows(tiny_corpus[:1], tiny_tokenizer, 10)[0].ids])
    found = hosted.generate(ids, max_new_tokens=6, do_sample=False, eos_token_id=None)
    expected = ids
    with torch.no_grad():
        for _ in range(6):
            best = hosted(input_ids=expected).logits[:, -1].argmax(-1, keepdim=True)
            expected = torch.cat([expected, best], dim=1)
    assert found.tolist() == expected.tolist()


def test_hooks_are_gone_after_an_error(tiny_tokenizer):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    hosted = HostedModel("m@b", backbone, busy_correction(backbone))
    ids = torch.tensor([[1, 2, 3]])
    before = backbone.model(ids).logits
    with pytest.raises(RuntimeError, match="stop"), hosted.attached():
        raise RuntimeError("stop")
    reader = backbone.reader()
    assert not reader._forward_hooks
    assert not reader._forward_pre_hooks
    torch.testing.assert_close(backbone.model(ids).logits, before)


def test_widths_that_do_not_fit_are_refused(tiny_tokenizer):
    with pytest.raises(ShapeError, match="d_abi"):
        Correction(Interface(8, 4, (0,)), MlpModule(6))
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    narrow = Correction(Interface(backbone.d_model - 1, 4, (0,)), MlpModule(4))
    with pytest.raises(ShapeError, match="d_model"):
        HostedModel("m@b", backbone, narrow)


def test_tensors_round_trip_and_errors_name_the_tensor():
    interface, module = Interface(8, 4, (0, 1)), MlpModule(4)
    again = Interface.from_tensors(interface.state_dict(), (0, 1))
    taps = {0: torch.randn(3, 8), 1: torch.randn(3, 8)}
    torch.testing.assert_close(again.read_in(taps), interface.read_in(taps))
    tensors = dict(module.state_dict())
    tensors["w2.bias"] = torch.zeros(5)
    with pytest.raises(ShapeError, match=r"w2\.bias.*\(4,\).*\(5,\)"):
        module_from_tensors(tensors)
    del tensors["w2.bias"]
    with pytest.raises(ShapeError, match=r"w2\.bias.*nothing"):
        module_from_tensors(tensors)
