"""Effect of modules on text that is not their own."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import WIDTH, tiny_backbone
from transplant.evaluation.interference import Together, interference, worsening
from transplant.modules.gate import Gate, Gated
from transplant.text.windows import cut_windows
from transplant.training.loop import new_correction


@pytest.fixture(scope="module")
def scene(tiny_corpus, tiny_tokenizer):
    """A backbone, text, a correction of zero and two others."""
    backbone = tiny_backbone("llama", tiny_tokenizer)
    windows = cut_windows(tiny_corpus[:4], tiny_tokenizer, 64)
    corrections = {}
    for seed, (name, taps) in enumerate((("zero", (2,)), ("large", (2,)), ("wide", (0, 1)))):
        corrections[name] = new_correction(WIDTH, 16, taps, seed).eval()
        if name != "zero":
            generator = torch.Generator().manual_seed(seed)
            weight = corrections[name].interface.proj_out.weight
            torch.nn.init.normal_(weight, std=0.2, generator=generator)
    return backbone, windows, corrections


def test_together_is_the_sum(scene):
    backbone, windows, corrections = scene
    both = Together([corrections["large"], corrections["wide"]])
    assert both.taps == (0, 1, 2)
    states = backbone.read(windows[:2], both.taps)
    one, other = (corrections[name](states.taps) for name in ("large", "wide"))
    torch.testing.assert_close(both(states.taps), one + other)


def test_behind_shut_gates_modules_hurt_nothing(scene):
    backbone, windows, corrections = scene
    shut, wide = Gate(16), Gate(16)
    shut.bias.fill_(-1.0)
    wide.bias.fill_(1.0)
    for gate, alike in ((shut, "none"), (wide, "large")):
        gated = {name: Gated(corrections[name], gate) for name in ("large", "wide")}
        matrix = interference(backbone, gated | {"plain": corrections["large"]}, {"x": windows})
        assert matrix["large"] == pytest.approx(matrix["none" if alike == "none" else "plain"])
        assert (matrix["all"] == pytest.approx(matrix["plain"])) == (alike == "none")


def test_a_module_of_zero_corrections_hurts_nothing_and_a_large_one_does(scene):
    backbone, windows, corrections = scene
    pair = {name: corrections[name] for name in ("zero", "large")}
    matrix = interference(backbone, pair, {"general": windows, "short": windows[:3]})
    assert set(matrix) == {"none", "zero", "large", "all"}
    assert worsening(matrix, "general", "zero", "none") == pytest.approx(0.0, abs=1e-4)
    assert abs(worsening(matrix, "general", "large", "none")) > 1.0
    assert matrix["all"] == pytest.approx(matrix["large"])
    assert "all" not in interference(backbone, {"large": corrections["large"]}, {"x": windows})


def test_worsening_is_in_percent():
    matrix = {"none": {"general": 20.0}, "a": {"general": 25.0}}
    assert worsening(matrix, "general", "a", "none") == pytest.approx(25.0)
