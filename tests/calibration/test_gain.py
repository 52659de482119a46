"""The factor on a correction: dense losses, many gains, a solved minimum."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from transplant.backbones import split_head
from transplant.backbones.split_head import SplitHead, capped
from transplant.backbones.states import States
from transplant.calibration import gain as gain_file
from transplant.calibration.config import MoveConfig
from transplant.calibration.gain import choose_gain, choose_gains, gain_curves
from transplant.calibration.gain_sums import GainSums

ROWS, WIDTH, VOCAB = 40, 5, 23
GAINS = (0.0, 0.125, 0.5, 1.0, 1.5)


class Shift(nn.Module):
    """A correction that is the same whatever is read."""

    taps = (0,)

    def __init__(self, change):
        super().__init__()
        self.change = nn.Parameter(change)

    def forward(self, *_):
        return self.change


class Scene:
    """A head with labels that it half predicts, and the corrections that may help."""

    def __init__(self, soft_cap=None, *, split=True, size=0.5):
        generator = torch.Generator().manual_seed(4)

        def draw(*shape):
            return torch.randn(*shape, generator=generator)

        self.weight, self.bias, self.soft_cap = draw(VOCAB, WIDTH), draw(VOCAB), soft_cap
        hidden, self.device, self.vocab_size = draw(ROWS, WIDTH), torch.device("cpu"), VOCAB
        better = hidden + 0.4 * draw(ROWS, WIDTH)
        labels = self.head(2 * better).softmax(1).multinomial(1, generator=generator)[:, 0]
        self.states = States({0: hidden}, hidden, labels, labels, torch.zeros_like(labels))
        self.split_head = SplitHead(self.weight, self.bias, soft_cap) if split else None
        self.corrections = {
            "good": Shift(size * better),
            "bad": Shift(-size * better),
            "noise": Shift(size * draw(ROWS, WIDTH)),
        }

    def head(self, hidden):
        logits = nn.functional.linear(hidden, self.weight.to(hidden), self.bias.to(hidden))
        return logits if self.soft_cap is None else capped(logits, self.soft_cap)

    def loss(self, name, gain):
        """In double precision, all logits at once."""
        change = self.corrections[name].change.detach().double()
        logits = self.head(self.states.h_last.double() + gain * change)
        return nn.functional.cross_entropy(logits, self.states.labels).item()


@pytest.fixture(autouse=True)
def in_small_pieces(monkeypatch):
    monkeypatch.setattr(split_head, "TOKENS", 7)
    monkeypatch.setattr(gain_file, "ROWS", 16)
    monkeypatch.setattr(gain_file, "states_of", lambda scene, *_: [scene.states])


@pytest.mark.parametrize("size", [0.5, 40.0], ids=["small", "large"])
@pytest.mark.parametrize("soft_cap", [None, 4.0])
@pytest.mark.parametrize("split", [True, False])
def test_losses_at_every_gain_are_the_dense_ones(split, soft_cap, size):
    scene = Scene(soft_cap, split=split, size=size)
    curves = gain_curves(scene, scene.corrections, [], GAINS)
    for name, curve in curves.items():
        dense = [scene.loss(name, gain) for gain in GAINS]
        assert curve.losses == pytest.approx(dense, rel=1e-5)
        assert curve.best == (GAINS[dense.index(min(dense))], pytest.approx(min(dense), rel=1e-5))


def test_a_few_rows_in_the_cache_have_the_losses_of_all_together(monkeypatch):
    """Small changes of logits are summed in one way, large ones in another."""
    scene = Scene()
    scene.corrections["mixed"] = Shift(scene.corrections["good"].change.detach().clone())
    with torch.no_grad():
        scene.corrections["mixed"].change[::8] *= 80
    whole = gain_curves(scene, scene.corrections, [], GAINS, slopes=True)
    monkeypatch.setattr(split_head, "CACHED", 20)  # two rows of a piece
    ways = []
    for way in ("_multiplied", "_one_by_one"):
        taken = getattr(GainSums, way)
        monkeypatch.setattr(
            GainSums, way, lambda *given, way=way, taken=taken: (ways.append(way), taken(*given))[1]
        )
    few = gain_curves(scene, scene.corrections, [], GAINS, slopes=True)
    assert ways.count("_multiplied") > 20
    assert ways.count("_one_by_one") > 4
    for name, curve in few.items():
        assert curve.losses == pytest.approx(whole[name].losses, rel=1e-5)
        assert curve.slopes == pytest.approx(whole[name].slopes, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("size", [0.5, 40.0], ids=["small", "large"])
@pytest.mark.parametrize("soft_cap", [None, 4.0])
def test_slopes_are_those_of_the_losses(soft_cap, size):
    scene, step = Scene(soft_cap, size=size), 1e-5
    for name, curve in gain_curves(scene, scene.corrections, [], GAINS, slopes=True).items():
        ends = [[scene.loss(name, gain + way * step) for gain in GAINS] for way in (-1, 1)]
        dense = [(right - left) / (2 * step) for left, right in zip(*ends, strict=True)]
        assert curve.slopes == pytest.approx(dense, rel=1e-3, abs=1e-4)


def test_the_head_meets_the_raw_rows_once_for_all_corrections_and_gains():
    scene, calls = Scene(), []

    class Counted(SplitHead):
        def products(self, hidden, tokens):
            calls.append(hidden.shape)
            return super().products(hidden, tokens)

    scene.split_head = Counted(scene.weight, scene.bias)
    choose_gains(scene, scene.corrections, [], GAINS)
    blocks, pieces = 3, 4
    assert len(calls) == (1 + len(scene.corrections)) * blocks * pieces


def test_what_only_hurts_gets_a_gain_of_nothing_by_default():
    scene = Scene()
    gain, loss = choose_gain(scene, scene.corrections["bad"], [], MoveConfig().gains)
    assert (gain, loss) == (0.0, pytest.approx(scene.loss("bad", 0.0), rel=1e-5))
    assert choose_gain(scene, scene.corrections["good"], [], MoveConfig().gains)[0] > 0


def test_the_solved_gain_is_the_minimum_of_the_convex_loss():
    scene = Scene()
    for name in ("good", "noise"):
        gain, loss = choose_gain(scene, scene.corrections[name], [], GAINS, solve=True)
        low, high = 0.0, 1.5
        for _ in range(60):  # ternary search
            third = (high - low) / 3
            if scene.loss(name, low + third) < scene.loss(name, high - third):
                high -= third
            else:
                low += third
        assert gain == pytest.approx(low, abs=2e-3)
        assert loss == pytest.approx(scene.loss(name, low), abs=1e-4)
        assert loss <= choose_gain(scene, scene.corrections[name], [], GAINS)[1] + 1e-9
    assert choose_gain(scene, scene.corrections["bad"], [], GAINS, solve=True)[0] == 0.0
