"""Several donors as one teacher: their changes meet at common characters, in one vocabulary."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.calibration.tiny_training import windows_of
from tests.teachers import random_donor, third_party, two_donors
from transplant.alignment.tokens import count_tokens
from transplant.calibration.changes.spec import CHANGES
from transplant.calibration.config import MoveConfig
from transplant.calibration.mapped_corrections import map_corrections
from transplant.calibration.move import pair_for_move, want
from transplant.calibration.output_map import DonorMix, change_of_logits, map_outputs
from transplant.calibration.panel_pairs import map_panel, pair_panel
from transplant.calibration.students.controls import turned_change
from transplant.calibration.students.lesson import Lesson
from transplant.errors import InputError
from transplant.modules.panel import Panel
from transplant.text.documents import Document

CONFIG = MoveConfig(excerpts=20, excerpt_chars=240, held_out_excerpts=6, stride=1, likely_tokens=64)


@pytest.fixture(scope="module")
def scene(tiny_texts, text):
    """Two donors of two tokenizers, a target of a third, and the domain's counts."""
    donors, target = two_donors(tiny_texts), third_party(tiny_texts)
    counts = [
        count_tokens((i for w in windows_of(one.backbone, text.train) for i in w.ids),
                     one.tokenizer)
        for one in donors
    ]  # fmt: skip
    return donors, target, counts


def test_rows_stand_where_all_donors_have_a_boundary(scene, text):
    donors, target, counts = scene
    panel = pair_panel(Panel(donors), target, text, counts[0], CONFIG).fitted
    alone = [pair_for_move(one, target, text, counts[0], CONFIG).fitted for one in donors]
    assert 100 < panel.rows <= min(one.rows for one in alone)
    for number, batch in enumerate(panel.batches):
        common = panel.windows[number].rows[1].tolist()
        theirs = [one.windows[number].rows[1].tolist() for one in alone]
        if alone[0].windows[number].target == alone[1].windows[number].target:
            assert common == sorted({*theirs[0]} & {*theirs[1]})
        place = torch.tensor([theirs[0].index(row) for row in common])
        own = alone[0].batches[number]
        width = own.donor.h_last.shape[1]
        changes = batch.donor.taps[Panel.CHANGES]
        expected = donors[0].change(own.donor.taps)[place]
        assert torch.allclose(changes[:, :width], expected, atol=1e-4)
        assert torch.allclose(batch.target.h_last, own.target.h_last[place], atol=1e-4)
        assert changes.shape[1] == sum(one.backbone.d_model for one in donors)


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_averaged_in_the_targets_vocabulary(scene, text, change):
    donors, target, counts = scene
    pairing = pair_panel(Panel(donors), target, text, counts[0], CONFIG)
    ways = map_panel(Panel(donors), target, counts, CONFIG)
    rows = pairing.fitted.batches[0]
    c, h = pairing.change(rows.donor.taps)[:9], rows.donor.h_last[:9].float()
    logits, mix = target.head(rows.target.h_last[:9]), DonorMix(0.3, 1.0, change)
    found = change_of_logits(ways, c, h, logits, mix)
    sizes = [one.backbone.d_model for one in donors]
    singly = [
        change_of_logits(map_outputs(one.backbone, target, own, CONFIG), a, b, logits, mix)
        for one, own, a, b in zip(
            donors, counts, c.split(sizes, 1), h.split(sizes, 1), strict=True
        )
    ]  # fmt: skip
    assert torch.allclose(found, (singly[0] + singly[1]) / 2, atol=1e-5)
    assert not torch.allclose(singly[0], singly[1], atol=0.1)


def test_one_donor_twice_is_that_donor(scene, text):
    donors, target, counts = scene
    one = donors[0]
    alone = pair_for_move(one, target, text, counts[0], CONFIG)
    twice = pair_panel(Panel([one, one]), target, text, counts[0], CONFIG)
    single = want(alone, map_outputs(one.backbone, target, counts[0], CONFIG), CONFIG)
    both = want(twice, map_panel(Panel([one, one]), target, [counts[0]] * 2, CONFIG), CONFIG)
    for a, b in zip(single.corrections, both.corrections, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    nothing = map_corrections(
        both.output_map, None, target, twice.fitted, dataclasses.replace(CONFIG, donor_word=0.0)
    )
    assert max(part.change.abs().max() for part in nothing.changes) < 1e-5
    for a, b in zip(single.changes, both.changes, strict=True):
        assert torch.allclose(a.change, b.change, atol=1e-3)


def test_the_change_of_each_donor_is_turned_by_itself(scene, text):
    donors, target, counts = scene
    panel = Panel(donors)
    pairing = pair_panel(panel, target, text, counts[0], CONFIG)
    lesson = Lesson(pairing, map_panel(panel, target, counts, CONFIG), (), CONFIG)
    change, ways = turned_change(lesson, CONFIG)
    taps = pairing.fitted.batches[0].donor.taps
    widths = [one.backbone.d_model for one in donors]
    turned, own = change(taps).split(widths, 1), pairing.change(taps).split(widths, 1)
    for there, here in zip(turned, own, strict=True):
        torch.testing.assert_close(there.norm(dim=1), here.norm(dim=1))
        assert not torch.allclose(there, here, atol=0.1 * here.abs().max().item())
    torch.testing.assert_close(ways.matrix, lesson.output_map.matrix)


def test_a_panel_of_one_is_refused(scene):
    with pytest.raises(InputError, match="teachers"):
        Panel(scene[0][:1])


def test_of_rows_without_a_partner_as_many_are_counted_as_thinning_keeps(scene, text):
    donors, target, counts = scene

    def paired(stride):
        config = dataclasses.replace(CONFIG, stride=stride)
        return pair_panel(Panel(donors), target, text, counts[0], config).fitted.batches

    whole, thin = paired(1), paired(3)
    assert any(rows.unpaired % 3 for rows in whole)  # a control: it need not divide
    for all_rows, few in zip(whole, thin, strict=True):
        assert few.unpaired == -(-all_rows.unpaired // 3) > 0
        assert len(few) == -(-len(all_rows) // 3)


def test_an_excerpt_that_is_one_token_for_one_donor_is_read_by_none(scene, text, tiny_texts):
    """Else the batches of its neighbours would be of other excerpts than the other donor's."""
    donors, target, counts = scene
    line = "x" * 32
    coarse = random_donor("gpt2", "bpe", 330, (*tiny_texts, f"{line} " * 400), 1)
    assert len(coarse.tokenizer(line)["input_ids"]) == 1 < len(target.tokenizer(line)["input_ids"])
    documents = [Document(line if n % 2 else one.text[:200], "text")
                 for n, one in enumerate(text.train)]  # fmt: skip
    mixed = dataclasses.replace(text, train=documents)
    config = dataclasses.replace(CONFIG, excerpt_chars=40, excerpts=200)
    both = pair_panel(Panel([donors[1], coarse]), target, mixed, counts[1], config)
    assert both.excerpts
    assert line not in {one.text for one in both.excerpts}
    windows = [window for batch in both.fitted.windows for window in batch.donor]
    for window in windows:
        read = donors[1].tokenizer.decode(window.ids, skip_special_tokens=True)
        assert "x" * 9 not in read
