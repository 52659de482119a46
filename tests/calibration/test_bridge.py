"""The input map: how much it is shrunk is chosen on rows that it was not fitted to."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.calibration.bridge import WORTH, fit_bridge
from transplant.calibration.config import MoveConfig
from transplant.calibration.pairs import PairedText, pair_text
from transplant.errors import InputError
from transplant.text.tokenizers import train_tokenizer
from transplant.training.loop import new_correction

PLAIN = MoveConfig(ridge=1e-6, stronger_ridges=())
CHOSEN = dataclasses.replace(PLAIN, stronger_ridges=(1e2, 1e4))


@pytest.fixture(scope="module")
def scene(tiny_corpus, tiny_texts):
    """A donor's interface, a target, and rows that both have read: many, and others held out."""
    one, other = (train_tokenizer("bpe", tiny_texts, size, context=128) for size in (330, 390))
    donor = tiny_backbone("gpt2", one, seed=1)
    target = tiny_backbone("llama", other, seed=2)
    correction = new_correction(donor.d_model, 8, donor.all_taps, seed=3).eval()
    fitted, held = (
        pair_text(donor, target, documents, donor.all_taps, target.all_taps)
        for documents in (tiny_corpus[:20], tiny_corpus[20:26])
    )
    return correction, target, fitted, held


@torch.no_grad()
def test_few_rows_are_shrunk_more_and_explain_more_of_what_was_held_out(scene):
    correction, target, fitted, held = scene
    few = PairedText(fitted.batches[:1])
    few = PairedText(tuple(dataclasses.replace(b, donor=b.donor.select(slice(150)),
                                               target=b.target.select(slice(150)))
                           for b in few.batches))  # fmt: skip
    plain = fit_bridge(correction, target, few, held, PLAIN).quality
    chosen = fit_bridge(correction, target, few, held, CHOSEN).quality
    assert plain.ridge == PLAIN.ridge
    assert chosen.ridge in (1e-4, 1e-2)
    assert chosen.r2 > plain.r2 + WORTH


@torch.no_grad()
def test_what_explains_no_more_changes_nothing(scene):
    """The rows that were fitted to ask for no shrinking."""
    correction, target, fitted, _ = scene
    plain = fit_bridge(correction, target, fitted, fitted, PLAIN)
    chosen = fit_bridge(correction, target, fitted, fitted, CHOSEN)
    assert chosen.quality == plain.quality
    for name, value in chosen.interface.state_dict().items():
        assert torch.equal(value, plain.interface.state_dict()[name]), name


@torch.no_grad()
def test_a_rotation_has_no_ridge(scene):
    correction, target, fitted, held = scene
    config = dataclasses.replace(CHOSEN, method="procrustes")
    assert fit_bridge(correction, target, fitted, held, config).quality.ridge is None


@pytest.mark.parametrize("wrong", [{"ridge": 0.0}, {"stronger_ridges": (10.0, -1.0)}])
def test_a_strength_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match="above 0"):
        MoveConfig(**wrong)
