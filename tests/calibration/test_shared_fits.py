"""Fits and gains that several processes share: to rounding what one computes alone."""

from __future__ import annotations

import weakref

import pytest
import torch

from tests.linked import in_two
from tests.tiny import tiny_backbone
from transplant.alignment import logits
from transplant.alignment.tokens import count_tokens
from transplant.calibration import closed_form, large_vocabulary
from transplant.calibration.closed_form import fit_linear_surrogate, fit_module_output
from transplant.calibration.config import MoveConfig
from transplant.calibration.gain import gain_curves
from transplant.calibration.mapped_corrections import map_corrections
from transplant.calibration.output_map import map_outputs
from transplant.calibration.pairs import pair_text
from transplant.modules.linear import LinearCorrection
from transplant.text.tokenizers import train_tokenizer
from transplant.text.windows import cut_windows
from transplant.training.loop import new_correction
from transplant.training.row_sources import row_source

CONFIG = MoveConfig(likely_tokens=24, donor_word=0.3)
GAINS = (0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def scene(tiny_corpus, tiny_texts):
    """Paired rows in three batches, a donor's correction, and the reading of the target."""
    one, other = (train_tokenizer("bpe", tiny_texts, size, context=128) for size in (330, 390))
    donor = tiny_backbone("gpt2", one, seed=1)
    target = tiny_backbone("llama", other, seed=2)
    paired = pair_text(donor, target, tiny_corpus[:40], donor.all_taps, target.all_taps, stride=4)
    assert len(paired.batches) == 3
    counts = count_tokens(one("".join(tiny_texts[:20])).input_ids, one)
    correction, reading = (
        new_correction(side.d_model, 8, side.all_taps, seed=3) for side in (donor, target)
    )
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.3)
    return map_outputs(donor, target, counts, CONFIG), correction, reading, target, paired


@pytest.mark.parametrize("fit", ["module", "surrogate", "wide surrogate"])
@pytest.mark.parametrize("whole", [large_vocabulary.WHOLE, 100], ids=["small", "large"])
def test_a_fit_in_two_is_the_fit_in_one(scene, fit, whole, monkeypatch):
    output_map, correction, reading, target, paired = scene
    monkeypatch.setattr(large_vocabulary, "WHOLE", whole)
    if fit.startswith("wide"):
        monkeypatch.setattr(logits, "EXACT", 8)

    @torch.no_grad()
    def fitted():
        wanted = map_corrections(output_map, correction, target, paired, CONFIG)
        again = map_corrections(output_map, correction, target, paired, CONFIG, like=wanted)
        assert all(a is b for a, b in zip(wanted.likely, again.likely, strict=True))
        if fit == "module":
            made = fit_module_output(reading.interface, correction.module, paired, again, CONFIG)
            return len(again.changes), made.interface.proj_out
        made = fit_linear_surrogate(reading.interface, paired, again, CONFIG)
        return len(again.changes), made.proj_out

    batches, alone = fitted()
    both = in_two(fitted)
    assert (batches, [share for share, _ in both]) == (3, [2, 1])
    for _, found in both:
        for name in ("weight", "bias"):
            ours, theirs = getattr(found, name), getattr(alone, name)
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert torch.equal(both[0][1].weight, both[1][1].weight)
    assert float(alone.weight.detach().abs().max()) > 1e-2  # control: there is something to fit


@torch.no_grad()
def test_a_fit_holds_features_once_and_no_moments_beside_them(scene, monkeypatch):
    output_map, correction, reading, target, paired = scene
    wanted = map_corrections(output_map, correction, target, paired, CONFIG)
    held, alive = [], {}

    def watch(owner, name, *, result=False, when=None):
        """Holds weak references to what a function returns, or counts those alive when it runs."""
        whole = getattr(owner, name)

        def watched(*given, **named):
            if when is not None:
                alive[when] = sum(one() is not None for one in held)
            made = whole(*given, **named)
            if result:
                held.append(weakref.ref(made))
            return made

        monkeypatch.setattr(owner, name, watched)

    watch(LinearCorrection, "gather", result=True)
    watch(closed_form, "CrossMoments", result=True)
    watch(closed_form, "fit_ridge", when="first guess")
    watch(logits, "_preconditioner", when="solver")
    fit_linear_surrogate(reading.interface, paired, wanted, CONFIG)
    assert alive == {"first guess": len(paired.batches) + 1, "solver": 0}


@pytest.mark.parametrize("kept", [False, True], ids=["windows", "rows"])
def test_gains_in_two_are_gains_in_one_and_each_reads_a_share(scene, tiny_corpus, kept):
    _, _, reading, target, _ = scene
    text = windows = cut_windows(tiny_corpus[:12], target.tokenizer, 48)
    if kept:
        text = row_source(target, windows, reading.taps)
    torch.nn.init.normal_(reading.interface.proj_out.weight, std=0.3)

    def curves():
        read = []

        def seen(taps, numbers):
            read.append(len(numbers))
            return reading(taps, numbers)

        seen.taps = reading.taps
        seen.to = lambda _: seen
        return gain_curves(target, {"it": seen}, text, GAINS)["it"].losses, sum(read)

    alone, rows = curves()
    both = in_two(curves)
    for losses, some in both:
        assert losses == pytest.approx(alone, rel=1e-6)
        assert some < 0.8 * rows
    assert sum(some for _, some in both) == rows
    assert max(alone) - min(alone) > 1e-3  # control: the gain matters
