"""Target tokens that are longer than the donor's: products along the text, by brute force."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from tests.calibration.inside_scene import make_short_sides, way_between
from tests.tiny import tiny_backbone
from transplant.alignment.continuations import Continuations
from transplant.alignment.tokens import canonical_tokens, token_bytes
from transplant.backbones.states import NO_LABEL
from transplant.calibration import large_vocabulary
from transplant.calibration.changes.along import log_masses, products_along
from transplant.calibration.changes.spec import BEGINS_WITH, CHANGES, LACKING, PUSH_FORWARD
from transplant.calibration.config import CONTINUED, PRODUCT, MoveConfig
from transplant.calibration.mapped_corrections import map_corrections
from transplant.calibration.move import pair_for_move, want
from transplant.calibration.paired_rows import PairedRows
from transplant.calibration.pairs import pair_text
from transplant.calibration.pairs_from_files import pair_captured
from transplant.errors import InputError
from transplant.text.tokenizers import train_tokenizer

CONFIG = MoveConfig(
    excerpts=16, excerpt_chars=240, held_out_excerpts=4, stride=1, rest_tokens=0,
    changes=(PUSH_FORWARD,), change=PUSH_FORWARD, longer=PRODUCT, likely_tokens=64,
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


def image_of(raw, targets):
    """The longest token of the target that some bytes begin with, one length after the other."""
    return next((targets[raw[:n]] for n in range(len(raw), 0, -1) if raw[:n] in targets), None)


def test_the_donors_rows_lie_inside_the_targets_next_token(sides, pairing):
    donor, target = sides
    found, alone = 0, 0
    for rows, windows in zip(pairing.fitted.batches, pairing.fitted.windows, strict=True):
        longer = rows.longer
        whole = donor.backbone.read(windows.donor, donor.correction.taps)
        torch.testing.assert_close(longer.donor.h_last, whole.h_last[windows.longer.rows])
        spelled = token_bytes(target.tokenizer)
        for place, read in enumerate(longer.texts()):
            pair = int(longer.places[place])
            window = int(rows.target.windows[pair])
            start, own = int(rows.target.ends[pair]), longer.donor.select(longer.owners == place)
            excerpt = pairing.excerpts[windows.target[window].document].text
            assert own.windows.unique().tolist() == [window]
            inside = [end for end in windows.donor[window].ends if start < end < start + 99]
            assert own.ends.tolist() == inside[: len(own)]
            assert excerpt[start : int(own.ends[-1])].encode() == read
            token = spelled[int(rows.target.labels[pair])]
            assert token.startswith(read)
            assert len(token) > len(read) > 0
            found += 1
        others = torch.ones(len(rows), dtype=torch.bool)
        others[longer.places] = False
        ends = {(w, e) for w, window in enumerate(windows.donor) for e in window.ends}
        for pair in others.nonzero()[:, 0].tolist():
            label = int(rows.target.labels[pair])
            if label == NO_LABEL:
                continue
            where, start = int(rows.target.windows[pair]), int(rows.target.ends[pair])
            length = len(spelled[label].decode("utf-8", "ignore"))
            assert not any((where, start + n) in ends for n in range(1, length))
            alone += 1
    assert min(found, alone) > 30


@pytest.mark.parametrize("read", [b"", b" ", b"t", b"th", b" the"])
def test_the_mass_behind_what_is_read_goes_to_the_targets_tokens_once_and_whole(sides, read):
    donor, target = sides
    sizes = len(donor.backbone.unembedding), target.vocab_size
    both = Continuations(donor.tokenizer, target.tokenizer, sizes)
    targets = canonical_tokens(target.tokenizer)
    theirs = {}
    for token, raw in token_bytes(donor.tokenizer).items():
        image = image_of(read + raw, targets)
        longer = image is not None and len(token_bytes(target.tokenizer)[image]) > len(read)
        theirs.setdefault(image if longer else None, set()).add(token)
    found = {token: {*both.completing(read, token).tolist()} for token in targets.values()}
    for token, completing in found.items():
        assert completing == theirs.get(token, set())
    p = torch.randn(sizes[0], generator=torch.Generator().manual_seed(1)).softmax(0)
    ordinary = sum(float(p[n]) for n in token_bytes(donor.tokenizer))
    rest = sum(float(p[n]) for n in theirs.get(None, ()))
    shared = sum(float(p[[*some]].sum()) for some in found.values() if some)
    assert shared + rest == pytest.approx(ordinary, abs=1e-5)
    pairs = itertools.combinations([some for some in found.values() if some], 2)
    assert all(a.isdisjoint(b) for a, b in pairs)


@torch.no_grad()
def test_the_product_is_that_of_the_donors_own_tokens_one_after_the_other(
    sides, pairing, output_map
):
    """By brute force: the donor reads the text again, all of its tokens are tried behind it."""
    donor, target = sides
    targets, spelled = canonical_tokens(target.tokenizer), token_bytes(donor.tokenizer)
    rows, windows = pairing.fitted.batches[0], pairing.fitted.windows[0]
    at_rows = pairing.change(rows.longer.donor.taps).float()
    corrections = pairing.change(rows.donor.taps).float(), at_rows
    shown = products_along(rows, corrections, output_map.donor, output_map.continuations)
    compared, several = 0, 0
    for number, pair in enumerate(shown.rows.tolist()[:25]):
        where, start = int(rows.donor.windows[pair]), int(rows.donor.ends[pair])
        window = windows.donor[where]
        whole = token_bytes(target.tokenizer)[int(shown.tokens[number])]
        at = window.ends.index(start)
        read, factors = b"", [1.0, 1.0]
        while True:
            ids = torch.tensor([window.ids[: at + 1]])
            raw = donor.backbone.model(input_ids=ids).logits[0, -1].softmax(-1)
            taught = donor(input_ids=ids).logits[0, -1].softmax(-1)
            token = window.ids[at + 1]
            ends_here = len(read) + len(spelled[token]) >= len(whole)
            some = [token]
            if ends_here:
                some = [n for n, own in spelled.items()
                        if image_of(read + own, targets) == int(shown.tokens[number])]  # fmt: skip
            factors[0] *= float(raw[some].sum())
            factors[1] *= float(taught[some].sum())
            if ends_here:
                break
            read, at, several = read + spelled[token], at + 1, several + 1
        assert float(shown.p0[number]) == pytest.approx(factors[0], rel=2e-3)
        assert float(shown.p1[number]) == pytest.approx(factors[1], rel=2e-3)
        compared += 1
    assert compared > 15
    assert several >= compared


@torch.no_grad()
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_where_the_text_shows_it_the_product_is_wanted_and_nothing_else_is_other(
    large, change, sides, pairing, output_map, monkeypatch
):
    monkeypatch.setattr(large_vocabulary, "WHOLE", 10 if large else 10_000)
    config = dataclasses.replace(CONFIG, change=change, changes=(change,))
    way = dataclasses.replace(config, longer="first")
    product, first = (want(pairing, output_map, one).changes[0] for one in (config, way))
    rows = pairing.fitted.batches[0]
    shown = products_along(
        rows,
        (pairing.change(rows.donor.taps), pairing.change(rows.longer.donor.taps)),
        output_map.donor, output_map.continuations,
    )  # fmt: skip
    of_row = dict(zip(shown.rows.tolist(), range(len(shown.rows)), strict=True))
    logits = sides[1].head(rows.target.h_last).softmax(-1)
    moved = 0
    for row in range(len(rows)):
        ours, theirs = (
            dict(zip(one.tokens[row].tolist(), one.change[row].tolist(), strict=True))
            for one in (product, first)
        )
        token = int(shown.tokens[of_row[row]]) if row in of_row else None
        both = [name for name in ours if name in theirs and name != token]
        shift = ours[both[0]] - theirs[both[0]]  # centred: a constant is free
        if change != BEGINS_WITH or token is None:
            assert all(abs(ours[n] - theirs[n] - shift) < 2e-4 for n in both)
        if token is None or token not in ours:
            continue
        p0, p1 = float(shown.p0[of_row[row]]), float(shown.p1[of_row[row]])
        r = torch.tensor(p1).log() - torch.tensor(p0).log()
        if change == LACKING and r > 0:
            lacks = torch.tensor(p1).log() - logits[row, token].log()
            r = torch.minimum(r, lacks.clamp_min(0))
        if change == PUSH_FORWARD and not large:
            # Against what every token of an image of its own changes by, in the same row.
            other = next(n for n in both if output_map.ways.reached[n])
            ids = output_map.continuations.completing(b"", other).tolist()
            before, after = log_masses(
                rows.donor.h_last[row : row + 1], pairing.change(rows.donor.taps)[row : row + 1],
                [ids], output_map.donor,
            )[:, 0]  # fmt: skip
            wanted = float(r - (after - before))
            assert ours[token] - ours[other] == pytest.approx(wanted, abs=2e-3)
        moved += abs((ours[token] - theirs.get(token, 0.0)) - shift) > 1e-3
    assert moved > 10


def test_of_a_donor_that_has_learned_nothing_nothing_is_wanted_there(sides, pairing, output_map):
    alone = map_corrections(output_map, None, sides[1], pairing.fitted, CONFIG)
    assert max(float(one.change.abs().max()) for one in alone.changes) < 1e-5


def test_rows_go_through_files_and_processes_and_a_shuffle_leaves_them_out(
    sides, tiny_texts, pairing, tmp_path
):
    """Beside rows inside the donor's own tokens, which other tokens of the target have."""
    donor, _ = sides
    other = tiny_backbone("llama", train_tokenizer("unigram", tiny_texts, 340, context=128))
    texts, taps = [*pairing.excerpts], donor.correction.taps
    held = [
        pair_text(donor.backbone, other, texts, taps, (1,), inside=CONTINUED, longer=True, **more)
        for more in ({}, {"folder": tmp_path, "in_memory": 0})
    ]  # fmt: skip
    plain = pair_text(donor.backbone, other, texts, taps, (1,))
    for kept, stored, alone in zip(*(one.batches for one in (*held, plain)), strict=True):
        assert len(kept.inside) > 0
        torch.testing.assert_close(kept.donor.h_last, alone.donor.h_last)
        for again in (stored, PairedRows.from_tensors(kept.tensors())):
            torch.testing.assert_close(again.longer.donor.h_last, kept.longer.donor.h_last)
            torch.testing.assert_close(again.donor.h_last, kept.donor.h_last)
            torch.testing.assert_close(again.inside.donor.h_last, kept.inside.donor.h_last)
            for part in ("places", "owners", "read"):
                assert torch.equal(getattr(again.longer, part), getattr(kept.longer, part))
            assert torch.equal(again.longer.donor.labels, kept.longer.donor.labels)
    assert all(rows.longer is None for rows in pairing.fitted.shuffled(0).batches)
    assert pairing.held_out.batches[0].longer is None


def test_rows_from_files_and_unknown_words_are_refused(sides):
    with pytest.raises(InputError, match="text that both have read"):
        pair_captured(*sides, (None, None), {"a": 1}, MoveConfig(longer=PRODUCT))
    with pytest.raises(InputError, match="`longer`"):
        MoveConfig(longer="all")
