"""A budget of columns: moves within it stay what they are, beyond it they lose little."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.calibration.tiny_training import windows_of
from tests.tiny import tiny_backbone
from transplant.alignment.basis import TapBases
from transplant.alignment.tokens import count_tokens
from transplant.calibration import columns as columns_module
from transplant.calibration.closed_form import fit_linear_surrogate
from transplant.calibration.config import MoveConfig
from transplant.calibration.move import align, pair_for_move, want
from transplant.calibration.output_map import map_outputs
from transplant.errors import InputError
from transplant.modules.hosted import HostedModel
from transplant.modules.interface import Interface
from transplant.text.tokenizers import train_tokenizer
from transplant.training.loop import new_correction

CONFIG = MoveConfig(excerpts=60, excerpt_chars=240, held_out_excerpts=12, stride=1, likely_tokens=8)
TAPS, WIDTH = 3, 48


@pytest.fixture(scope="module")
def scene(text, tiny_texts):
    bpe = train_tokenizer("bpe", tiny_texts, 330, context=128)
    digits = train_tokenizer("bpe-digits", tiny_texts, 360, context=128)
    backbone = tiny_backbone("gpt2", bpe, seed=1)
    correction = new_correction(backbone.d_model, 16, (2,), seed=0)
    torch.nn.init.normal_(correction.interface.proj_out.weight, generator=torch.manual_seed(1))
    donor = HostedModel("tales@tiny", backbone, correction)
    target = tiny_backbone("llama", digits, seed=3, hidden_size=WIDTH)
    ids = (i for window in windows_of(backbone, text.train) for i in window.ids)
    counts = count_tokens(ids, backbone.tokenizer)
    return pair_for_move(donor, target, text, counts, CONFIG), counts


def test_a_budget_of_all_columns_is_no_budget(scene):
    pairing, _ = scene
    whole = align(pairing, CONFIG)
    exact = align(pairing, dataclasses.replace(CONFIG, columns=TAPS * WIDTH))
    assert exact.quality == whole.quality
    for one, two in zip(
        exact.interface.state_dict().values(), whole.interface.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two)


def test_a_third_of_the_columns_loses_little_and_random_bases_more(scene, monkeypatch):
    pairing, _ = scene
    third = dataclasses.replace(CONFIG, columns=TAPS * WIDTH // 3)
    whole, cut = align(pairing, CONFIG).quality.r2, align(pairing, third).quality.r2
    draw = torch.Generator().manual_seed(2)

    def random(_, leading, columns):
        shape = WIDTH, columns // len(leading.taps)
        squares = [torch.randn(*shape, generator=draw) for _ in leading.taps]
        return TapBases(tuple(torch.linalg.qr(square)[0] for square in squares))

    monkeypatch.setattr(columns_module, "used_directions", random)
    control = align(pairing, third).quality.r2
    assert cut > whole - 0.05
    assert control < cut - 0.03


def test_what_is_fitted_within_a_budget_is_an_ordinary_interface(scene):
    pairing, _ = scene
    cut = align(pairing, dataclasses.replace(CONFIG, columns=30)).interface
    again = Interface.from_tensors(cut.state_dict(), cut.taps)
    states = pairing.held_out.batches[0].target.taps
    torch.testing.assert_close(again.read_in(states), cut.read_in(states))
    assert set(cut.taps) <= {0, 1, 2}
    assert cut.proj_in.in_features == len(cut.taps) * WIDTH


def test_the_linear_surrogate_reads_as_many_columns_as_the_move(scene):
    pairing, counts = scene
    wanted = want(pairing, map_outputs(pairing.donor.backbone, pairing.target, counts, CONFIG),
                  CONFIG)  # fmt: skip
    for columns, reads in ((30, 30), (TAPS * WIDTH, TAPS * WIDTH)):
        config = dataclasses.replace(CONFIG, columns=columns)
        reading = align(pairing, config).interface
        made = fit_linear_surrogate(reading, pairing.fitted, wanted, config)
        assert made.proj_out.in_features <= reads
        assert made.proj_out.in_features > 0.9 * min(reads, reading.proj_in.in_features)
        out = made(pairing.held_out.batches[0].target.taps)
        assert torch.isfinite(out).all()
        assert out.shape[1] == WIDTH


def test_a_rotation_is_fitted_within_a_budget_too(scene):
    pairing, _ = scene
    turned = dataclasses.replace(CONFIG, method="procrustes", columns=72)
    assert align(pairing, turned).quality.cosine_after > 0.3


def test_fewer_columns_than_taps_are_refused(scene):
    pairing, _ = scene
    with pytest.raises(InputError, match="less than one for each tap"):
        align(pairing, dataclasses.replace(CONFIG, columns=2))
    with pytest.raises(InputError, match="columns"):
        dataclasses.replace(CONFIG, columns=0)
