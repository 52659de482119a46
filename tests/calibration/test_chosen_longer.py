"""Products along the donor's tokens or first factors: the calibration split chooses."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.calibration.inside_scene import make_short_sides, way_between
from tests.calibration.tiny_training import windows_of
from transplant.alignment.tokens import count_tokens
from transplant.calibration import large_vocabulary, mapped_corrections
from transplant.calibration.changes.along import products_along
from transplant.calibration.changes.spec import AUTO, LACKING, PUSH_FORWARD
from transplant.calibration.config import FIRST, PRODUCT, MoveConfig
from transplant.calibration.mapped_corrections import map_corrections
from transplant.calibration.move import align, pair_for_move, want
from transplant.calibration.output_map import map_outputs
from transplant.calibration.pairs_from_files import pair_captured
from transplant.calibration.tuning import choose, ways_to_try
from transplant.errors import InputError
from transplant.tables.table import Table
from transplant.tables.tried import explained

CONFIG = MoveConfig(
    excerpts=16, excerpt_chars=240, held_out_excerpts=4, stride=1, rest_tokens=0,
    changes=(PUSH_FORWARD, LACKING), longer=AUTO, likely_tokens=64, donor_words=(0.0,),
)  # fmt: skip


@pytest.fixture(scope="module")
def sides(tiny_texts):
    """A donor whose tokens are shorter than the target's."""
    return make_short_sides(tiny_texts)


@pytest.fixture(scope="module")
def pairing(sides, text):
    return pair_for_move(*sides, text, {"a": 1}, CONFIG)


@pytest.fixture(scope="module")
def output_map(sides, tiny_texts):
    return way_between(sides, tiny_texts, CONFIG)


def of(longer):
    return dataclasses.replace(CONFIG, longer=longer)


@pytest.mark.parametrize("large", [False, True])
def test_both_are_tried_and_the_better_one_is_kept(
    large, sides, pairing, output_map, text, monkeypatch
):
    monkeypatch.setattr(large_vocabulary, "WHOLE", 10 if large else 10_000)
    reading = align(pairing, CONFIG).interface
    held_out = windows_of(sides[1], text.calibration)
    found, first, product = (
        choose(pairing, reading, output_map, held_out, of(longer))
        for longer in (AUTO, FIRST, PRODUCT)
    )
    assert [way.longer for way in found.tried] == [FIRST] * 2 + [PRODUCT] * 2
    # What is known of one way is not computed again for another, and nothing else comes of it.
    for own, alone in zip(found.tried, (*first.tried, *product.tried), strict=True):
        assert dataclasses.replace(own, loss=0.0) == dataclasses.replace(alone, loss=0.0)
        assert own.loss == pytest.approx(alone.loss, rel=1e-5)
    losses = [way.loss for way in found.tried]
    assert found.calibrated.loss == min(losses)
    chosen = found.tried[losses.index(min(losses))]
    assert (found.config.longer, found.config.change) == (chosen.longer, chosen.change)
    assert abs(losses[0] - losses[2]) > 1e-5  # a control: they are not the same


@pytest.mark.parametrize("large", [False, True])
def test_products_are_computed_once_for_all_ways(large, sides, pairing, output_map, monkeypatch):
    monkeypatch.setattr(large_vocabulary, "WHOLE", 10 if large else 10_000)
    calls = []

    def counted(*args):
        calls.append(1)
        return products_along(*args)

    monkeypatch.setattr(mapped_corrections, "products_along", counted)
    first = want(pairing, output_map, of(FIRST))
    assert not calls
    one = want(pairing, output_map, of(PRODUCT), like=first)
    batches = len(pairing.fitted.batches)
    assert len(calls) == batches
    other = dataclasses.replace(of(PRODUCT), change=LACKING)
    again = want(pairing, output_map, other, like=one)
    assert len(calls) == batches
    anew = want(pairing, output_map, other)
    assert len(calls) == 2 * batches
    for ours, theirs in zip(again.changes, anew.changes, strict=True):
        torch.testing.assert_close(ours.change, theirs.change)
    for ours, theirs in zip(one.changes, anew.changes, strict=True):
        assert not torch.allclose(ours.change, theirs.change, atol=1e-3)  # of another way
    # Of the donor without what it learned, nothing.
    alone = map_corrections(output_map, None, sides[1], pairing.fitted, of(PRODUCT), like=one)
    assert max(float(part.change.abs().max()) for part in alone.changes) < 1e-5


def test_in_one_vocabulary_there_is_nothing_to_choose(sides, tiny_texts):
    donor, _ = sides
    counts = count_tokens(donor.tokenizer("".join(tiny_texts[:20])).input_ids, donor.tokenizer)
    same = map_outputs(donor.backbone, donor.backbone, counts, CONFIG)
    assert {way.longer for way in ways_to_try(same, CONFIG)} == {FIRST}
    assert {way.longer for way in ways_to_try(same, of(PRODUCT))} == {PRODUCT}  # as it is asked


def test_rows_from_files_show_no_text_to_choose_by(sides):
    with pytest.raises(InputError, match=r"`longer='auto'` reads the text that both have read"):
        pair_captured(*sides, (None, None), {"a": 1}, CONFIG)


def test_the_table_of_what_was_tried_tells_them_apart_and_reads_former_results():
    def row(**more):
        return {"donor_word": 0.0, "gain": 1.0, "loss": 2.0, "change": PUSH_FORWARD, **more}

    tried = [row(), row(longer=FIRST), row(longer=PRODUCT)]
    text = explained(Table("moved", "a"), tried).to_markdown()
    assert text.count("| push-forward |") == 2
    assert text.count("| push-forward, product |") == 1
