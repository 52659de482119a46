"""Inside its own token a donor goes on: what is wanted there, by brute force, and who learns it."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from tests.calibration.inside_scene import CONFIG, make_sides
from transplant.alignment.tokens import canonical_tokens, count_tokens, token_bytes
from transplant.calibration import large_vocabulary
from transplant.calibration.changes.spec import LACKING, PUSH_FORWARD
from transplant.calibration.config import CONTINUED, MoveConfig
from transplant.calibration.mapped_corrections import map_corrections
from transplant.calibration.move import pair_for_move, want
from transplant.calibration.objectives.donor_changes import ChangeBatches
from transplant.calibration.output_map import DonorMix, map_outputs
from transplant.calibration.pairs_from_files import pair_captured
from transplant.calibration.students.taught_windows import TaughtWindows, teacher_of
from transplant.errors import InputError


@pytest.fixture(scope="module")
def sides(tiny_texts):
    return make_sides(tiny_texts)


@pytest.fixture(scope="module")
def going_on(sides, text):
    config = dataclasses.replace(CONFIG, inside=CONTINUED, changes=(LACKING,), change=LACKING)
    return config, pair_for_move(*sides, text, {"a": 1}, config)


def test_the_donor_before_a_row_inside_has_read_all_but_some_bytes(sides, going_on):
    """Donor row, bytes and target row of each place fit together in the text."""
    donor, _ = sides
    _, pairing = going_on
    for rows, windows in zip(pairing.fitted.batches, pairing.fitted.windows, strict=True):
        inside = rows.inside
        assert len(inside) == len(inside.donor) == len(inside.texts()) > 0
        assert torch.equal(inside.donor.windows, inside.target.windows)
        states = donor.backbone.read(windows.donor, inside.donor.taps)
        torch.testing.assert_close(inside.donor.h_last, states.h_last[windows.before])
        places = zip(inside.target.windows.tolist(), inside.donor.ends.tolist(),
                     inside.target.ends.tolist(), inside.texts(), strict=True)  # fmt: skip
        for window, start, end, read in places:
            excerpt = pairing.excerpts[windows.target[window].document].text
            assert excerpt[start:end].encode() == read != b""
            assert not any(start < other < end for other in windows.donor[window].ends)


def test_a_shuffle_mixes_the_donor_inside_its_tokens_too(going_on):
    _, pairing = going_on
    rows, mixed = pairing.fitted.batches[0].inside, pairing.fitted.shuffled(1).batches[0].inside
    assert torch.equal(rows.target.h_last, mixed.target.h_last)
    assert not torch.equal(rows.donor.h_last, mixed.donor.h_last)
    assert sorted(rows.texts()) == sorted(mixed.texts())
    assert rows.texts() != mixed.texts()


@torch.no_grad()
def test_what_is_wanted_inside_is_the_sum_over_tokens_that_go_on(sides, going_on, tiny_texts):
    """By brute force: every token of the donor that begins with the bytes read, one by one."""
    donor, target = sides
    config, pairing = going_on
    counts = count_tokens(donor.tokenizer("".join(tiny_texts[:20])).input_ids, donor.tokenizer)
    output_map = map_outputs(donor.backbone, target, counts, config)
    push = dataclasses.replace(config, change=PUSH_FORWARD)
    wanted, cut = (want(pairing, output_map, way) for way in (push, config))
    longer, targets = token_bytes(donor.tokenizer), canonical_tokens(target.tokenizer)
    of_target = token_bytes(target.tokenizer)
    inside = pairing.fitted.batches[0].inside
    learned, compared = pairing.change(inside.donor.taps), 0
    for row, read in enumerate(inside.texts()[:40]):
        h = inside.donor.h_last[row]
        own = donor.backbone.unembedding @ h
        both = own + donor.backbone.unembedding @ learned[row]
        mass = {}
        for token, raw in longer.items():
            if raw.startswith(read) and len(raw) > len(read):
                left = raw[len(read) :]
                image = next(
                    targets[left[:n]] for n in range(len(left), 0, -1) if left[:n] in targets
                )
                before, after = mass.get(image, (0.0, 0.0))
                mass[image] = before + own[token].exp(), after + both[token].exp()
        sums = [sum(column) for column in zip(*mass.values(), strict=True)]
        q = target.head(inside.target.h_last[row][None])[0].softmax(-1)

        def image_of(token, mass=mass):
            raw = of_target.get(token, b"")
            pieces = (targets.get(raw[:n]) for n in range(len(raw), 0, -1))
            return next((piece for piece in [token, *pieces] if piece in mass), None)

        images = [image_of(token) for token in range(target.vocab_size)]
        tokens = wanted.inside[0].change.tokens[row].tolist()
        ratio = {u: (b / sums[1]).log() - (a / sums[0]).log() for u, (a, b) in mass.items()}
        known = [token for token in tokens if images[token] is not None]
        found = dict(zip(tokens, wanted.inside[0].change.change[row].tolist(), strict=True))
        if not known:
            assert all(abs(value) < 1e-6 for value in found.values())
            continue
        compared += len(known)
        shift = found[known[0]] - float(ratio[images[known[0]]])  # centred: a constant is free
        for token in known:
            assert found[token] == pytest.approx(float(ratio[images[token]]) + shift, abs=1e-4)
        below = dict(zip(cut.inside[0].change.tokens[row].tolist(),
                         cut.inside[0].change.change[row].tolist(), strict=True))  # fmt: skip
        raised = {}
        for token in known:
            u = images[token]
            r, theirs = float(ratio[u]), float(sum(q[n] for n, i in enumerate(images) if i == u))
            p1 = float(mass[u][1] / sums[1])
            raised[token] = min(r, max(0.0, math.log(p1) - math.log(theirs))) if r > 0 else r
        both_have = [token for token in known if token in below]
        shift = below[both_have[0]] - raised[both_have[0]]
        for token in both_have:
            assert below[token] == pytest.approx(raised[token] + shift, abs=1e-4)
    assert compared > 40


@torch.no_grad()
def test_nothing_of_the_donor_is_left_inside_where_it_has_learned_nothing(
    sides, going_on, tiny_texts
):
    donor, target = sides
    config, pairing = going_on
    counts = count_tokens(donor.tokenizer("".join(tiny_texts[:20])).input_ids, donor.tokenizer)
    output_map = map_outputs(donor.backbone, target, counts, config)
    alone = map_corrections(output_map, None, target, pairing.fitted, config)
    assert all(float(rows.change.change.abs().max()) < 1e-5 for rows in alone.inside)


def test_rows_from_files_cannot_be_continued(sides):
    donor, target = sides
    with pytest.raises(InputError, match="text that both have read"):
        pair_captured(donor, target, (None, None), {"a": 1}, MoveConfig(inside=CONTINUED))


def test_what_learns_from_likely_tokens_learns_inside_too(sides, going_on, tiny_texts, monkeypatch):
    """A student of whole windows, and gradient steps on rows."""
    monkeypatch.setattr(large_vocabulary, "WHOLE", 100)
    donor, target = sides
    config, pairing = going_on
    counts = count_tokens(donor.tokenizer("".join(tiny_texts[:20])).input_ids, donor.tokenizer)
    output_map = map_outputs(donor.backbone, target, counts, config)
    wanted, fitted = want(pairing, output_map, config), pairing.fitted
    teacher = teacher_of(target, output_map, DonorMix(), lambda: wanted, inside=True)
    taught = TaughtWindows(target, fitted, pairing.change, teacher, 100)
    assert len(taught) == len(fitted.batches)
    for number, rows in enumerate(fitted.batches):
        unit = taught.unit(number, torch.float32)
        assert len(unit.rows) == len(rows) + len(rows.inside)
        inside = unit.batch.wanted_change.change[len(rows) :]
        assert torch.equal(inside, wanted.inside[number].change.change)
        read = target.read(unit.windows)
        torch.testing.assert_close(read.h_last[unit.rows], unit.batch.states.h_last)
    blocks = ChangeBatches(target, fitted, wanted, seed=0)
    some = blocks.batch([0])
    states = torch.cat([rows.taught.h_last for rows in fitted.batches])
    assert len(states) == fitted.rows + sum(len(rows.inside) for rows in fitted.batches)
    order = torch.randperm(len(states), generator=torch.Generator().manual_seed(0))
    assert torch.equal(some.states.h_last, states[order][: len(some.states)])
    changes = torch.cat([change.change for change in wanted.all_changes()])
    assert torch.equal(some.wanted_change.change, changes[order][: len(some.states)])


@torch.no_grad()
def test_a_large_vocabulary_is_looked_at_where_it_is_likely(
    sides, going_on, tiny_texts, monkeypatch
):
    """At the tokens that both look at what is wanted is the same, up to a shift."""
    donor, target = sides
    config, pairing = going_on
    counts = count_tokens(donor.tokenizer("".join(tiny_texts[:20])).input_ids, donor.tokenizer)
    output_map = map_outputs(donor.backbone, target, counts, config)
    whole = want(pairing, output_map, config).inside
    monkeypatch.setattr(large_vocabulary, "WHOLE", 100)
    monkeypatch.setattr(large_vocabulary, "TARGETS", 40)  # all of them are likely
    likely = want(pairing, output_map, dataclasses.replace(config, likely_tokens=30))
    again = want(pairing, output_map, dataclasses.replace(config, likely_tokens=30), like=likely)
    compared = 0
    for dense, few, same in zip(whole, likely.inside, again.inside, strict=True):
        assert same.likely is few.likely is not None
        assert torch.equal(same.change.change, few.change.change)
        for row in range(len(dense.change.tokens)):
            a, b = (
                dict(zip(c.tokens[row].tolist(), c.change[row].tolist(), strict=True))
                for c in (dense.change, few.change)
            )
            both = [*(a.keys() & b.keys())]
            shift = [a[token] - b[token] for token in both]
            assert shift == pytest.approx([shift[0]] * len(shift), abs=2e-3)
            compared += len(both)
    assert compared > 1000
