"""Rows of the target that end inside a donor token: kept where asked for, and left as they are."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.calibration.inside_scene import CONFIG, make_sides
from transplant.alignment.tokens import count_tokens
from transplant.calibration import large_vocabulary
from transplant.calibration import pairs as pairs_module
from transplant.calibration.closed_form import fit_linear_surrogate, fit_module_output
from transplant.calibration.config import LEFT_OUT, MoveConfig
from transplant.calibration.move import align, pair_also, pair_for_move, want
from transplant.calibration.objectives.paired_blocks import PairedBlocks
from transplant.calibration.output_map import map_outputs
from transplant.calibration.paired_rows import LazyBatches, PairedRows
from transplant.calibration.wanted_inside import wanted_inside
from transplant.calibration.windows_together import window_ends
from transplant.errors import InputError
from transplant.text.offsets import match_positions


@pytest.fixture(scope="module")
def sides(tiny_texts):
    return make_sides(tiny_texts)


@pytest.fixture(scope="module")
def pairing(sides, text):
    return pair_for_move(*sides, text, {"a": 1}, CONFIG)


def test_every_row_of_the_target_pairs_or_is_inside(sides, pairing):
    donor, target = sides
    for rows, windows in zip(pairing.fitted.batches, pairing.fitted.windows, strict=True):
        states = target.read(windows.target, target.all_taps)
        assert len(rows.target) + len(rows.inside) == len(states)
        assert len(rows.inside) == rows.unpaired > 0
        ends = window_ends(target, windows.target)
        _, theirs = match_positions(*window_ends(donor.backbone, windows.donor), *ends)
        assert not torch.isin(windows.inside, theirs).any()
        torch.testing.assert_close(rows.inside.target.h_last, states.h_last[windows.inside])
        assert rows.inside.target.taps.keys() == rows.target.taps.keys()
    assert all(rows.inside is None for rows in pairing.held_out.batches)


def test_a_large_vocabulary_is_left_as_it_is_where_it_is_likely(
    sides, pairing, monkeypatch, tiny_texts
):
    """Not looked at whole, and yet the same tokens with the same weights."""
    donor = sides[0].backbone
    counts = count_tokens(donor.tokenizer("".join(tiny_texts[:20])).input_ids, donor.tokenizer)
    output_map = map_outputs(donor, sides[1], counts, CONFIG)
    batches = pairing.fitted.batches
    whole = wanted_inside(output_map, None, sides[1], batches, CONFIG)
    monkeypatch.setattr(large_vocabulary, "WHOLE", 10)
    likely = wanted_inside(output_map, None, sides[1], batches, CONFIG)
    assert len(whole) == len(likely) == len(batches)
    for one, other in zip(whole, likely, strict=True):
        orders = [found.change.tokens.argsort(1) for found in (one, other)]
        for name in ("tokens", "weights"):
            mine, theirs = (
                getattr(found.change, name).gather(1, order)
                for found, order in zip((one, other), orders, strict=True)
            )
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
        assert not other.change.change.any()


def test_of_the_rows_inside_every_so_many_are_kept(sides, text):
    thin = pair_for_move(*sides, text, {"a": 1}, dataclasses.replace(CONFIG, stride=3))
    whole = pair_for_move(*sides, text, {"a": 1}, CONFIG)
    for few, many in zip(thin.fitted.batches, whole.fitted.batches, strict=True):
        assert torch.equal(few.inside.target.ends, many.inside.target.ends[::3])
        assert few.unpaired == len(few.inside)
    assert any(rows.unpaired % 3 for rows in whole.fitted.batches)  # a control: it need not divide
    blocks = PairedBlocks(sides[1], thin.fitted, 0, inside=True)
    assert len(blocks.order) == thin.fitted.rows + thin.fitted.unpaired
    out = pair_for_move(*sides, text, {"a": 1}, dataclasses.replace(CONFIG, inside=LEFT_OUT))
    assert all(rows.inside is None for rows in out.fitted.batches)


def test_files_and_other_processes_and_a_shuffle_keep_them(sides, text, pairing, tmp_path,
                                                           monkeypatch):  # fmt: skip
    rows = pairing.fitted.batches[0]
    sent = PairedRows.from_tensors(rows.tensors())
    assert torch.equal(sent.inside.target.h_last, rows.inside.target.h_last)
    mixed = pairing.fitted.shuffled(1).batches[0]
    assert torch.equal(mixed.inside.target.h_last, rows.inside.target.h_last)
    monkeypatch.setattr(pairs_module.pair_text, "__kwdefaults__",
                        {**pairs_module.pair_text.__kwdefaults__, "in_memory": 0})  # fmt: skip
    stored = pair_for_move(*sides, text, {"a": 1}, CONFIG, tmp_path)
    assert isinstance(stored.fitted.batches, LazyBatches)
    for one, two in zip(pairing.fitted.batches, stored.fitted.batches, strict=True):
        assert torch.equal(one.target.h_last, two.target.h_last)
        for tap, states in one.inside.target.taps.items():
            assert torch.equal(states, two.inside.target.taps[tap])
    also = pair_also(pairing, text.eval[:2], CONFIG)
    assert also.fitted.batches[-1].inside is not None


@torch.no_grad()
def test_a_fit_that_looks_inside_leaves_such_places_alone(sides, pairing, tiny_texts):
    donor, target = sides
    counts = count_tokens(donor.tokenizer("".join(tiny_texts[:20])).input_ids, donor.tokenizer)
    output_map = map_outputs(donor.backbone, target, counts, CONFIG)
    reading = align(pairing, CONFIG).interface
    fitted = pairing.fitted
    blind = dataclasses.replace(
        pairing,
        fitted=dataclasses.replace(
            fitted,
            batches=tuple(dataclasses.replace(rows, inside=None) for rows in fitted.batches),
        ),
    )

    def change_of(one):
        """How far logits move, up to a shift, where rows pair and inside donor tokens."""
        wanted = want(one, output_map, CONFIG)
        module = fit_module_output(reading, pairing.correction.module, one.fitted, wanted, CONFIG)
        linear = fit_linear_surrogate(reading, one.fitted, wanted, CONFIG)
        return [
            torch.cat(
                [(found(side(rows).taps) @ target.unembedding.T).std(1) for rows in fitted.batches]
            ).mean()
            for found in (module, linear)
            for side in (lambda rows: rows.target, lambda rows: rows.inside.target)
        ]

    paired, inside, linear_paired, linear_inside = change_of(pairing)
    blind_paired, blind_inside, blind_linear_paired, blind_linear_inside = change_of(blind)
    assert inside < 0.9 * blind_inside
    assert linear_inside / linear_paired < 0.95 * blind_linear_inside / blind_linear_paired


def test_what_is_wanted_inside_is_one_of_three():
    with pytest.raises(InputError, match="left-out.*nothing.*continued"):
        MoveConfig(inside="everything")
