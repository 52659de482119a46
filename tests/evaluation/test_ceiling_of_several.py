"""Several donors beside a target: their mean change is added where all have read as far."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.teachers import third_party, two_donors
from transplant.alignment.tokens import count_tokens
from transplant.calibration import large_vocabulary
from transplant.calibration.changes.spec import CHANGES
from transplant.calibration.config import MoveConfig
from transplant.calibration.output_map import change_of_logits
from transplant.calibration.panel_pairs import map_panel
from transplant.modules.panel import Panel
from transplant.text.documents import Document
from transplant.text.offsets import match_positions
from transplant.text.windows import cut_windows
from transplant.workflows.move.side_by_side import Beside, score_beside

DOCUMENTS = (0, 1, 1, 2)  # the second document is in two pieces
PARTS = {"change": (0.0, True), "both": (0.5, True), "raw ratio": (0.5, False)}
WAYS = {
    f"{part}, {change}": Beside(raw_weight, 0.75, change, module=module)
    for change in CHANGES
    for part, (raw_weight, module) in PARTS.items()
}


@pytest.fixture(scope="module")
def donors(tiny_texts):
    return two_donors(tiny_texts)


@pytest.fixture(scope="module")
def target(tiny_texts):
    return third_party(tiny_texts)


@pytest.fixture(scope="module")
def texts(tiny_corpus):
    return [Document(one.text[:200], "text") for one in tiny_corpus[: len(DOCUMENTS)]]


def maps_of(donors, target, texts):
    counts = [
        count_tokens(one.tokenizer(texts[0].text)["input_ids"], one.tokenizer) for one in donors
    ]
    return map_panel(Panel(donors), target, counts, MoveConfig())


def beside(donors, target, texts):
    """Likelihoods of `WAYS`; of one donor alone through the map that it has in a panel."""
    maps = maps_of([*donors, *donors][:2], target, texts)
    donor, maps = (donors[0], maps.parts[0]) if len(donors) == 1 else (Panel(donors), maps)
    return score_beside(donor, target, texts, DOCUMENTS, maps, {"raw": None}, WAYS)


def losses(scores):
    return {name: one.per_token for name, one in scores.likelihoods.items()}


def test_one_donor_twice_is_that_donor(donors, target, texts):
    once, twice, two = (
        beside(some, target, texts) for some in (donors[:1], donors[:1] * 2, donors)
    )
    assert twice.paired_share == once.paired_share > two.paired_share > 0.1
    for name, loss in losses(once).items():
        assert losses(twice)[name] == pytest.approx(loss, rel=1e-5)
        # A control: with another beside it, it is not.
        assert (losses(two)[name] == pytest.approx(loss, rel=1e-3)) == (name == "raw")


def test_the_order_of_donors_is_of_no_account(donors, target, texts):
    ahead, behind = (losses(beside(some, target, texts)) for some in (donors, donors[::-1]))
    assert ahead == pytest.approx(behind, rel=1e-5)


def test_the_mean_change_is_added_where_all_have_read_as_far_and_nowhere_else(
    donors, target, texts
):
    """Losses of each row from what each donor changes by itself, row by row."""
    maps, expected, alone = maps_of(donors, target, texts), {}, 0
    for text in texts:
        (right,) = cut_windows([text], target.tokenizer, 128)
        theirs = target.read([right]).labelled()
        logits = target.head(theirs.h_last).float()
        found, ends = [], []
        for donor, part in zip(donors, maps.parts, strict=True):
            (left,) = cut_windows([text], donor.tokenizer, 128)
            ours = donor.backbone.read([left], donor.change_taps)
            a, b = match_positions(ours.ends, ours.windows, theirs.ends, theirs.windows)
            ours = ours.select(a)
            ends.append({*b.tolist()})
            moved = {}
            for name, way in WAYS.items():
                change = way.module * donor.change(ours.taps).float()
                mix, _ = way.ungained
                moved[name] = torch.zeros_like(logits).index_copy(
                    0, b, change_of_logits(part, change, ours.h_last, logits[b], mix)
                )
            found.append(moved)
        common = torch.tensor(sorted(ends[0] & ends[1]))
        alone += len(ends[0] ^ ends[1])
        for name, way in WAYS.items():
            mean = torch.zeros_like(logits).index_copy(
                0, common, (found[0][name][common] + found[1][name][common]) / 2
            )
            changed = logits + way.gain * mean
            loss = functional.cross_entropy(changed, theirs.labels, reduction="sum")
            expected[name] = expected.get(name, 0.0) + float(loss)
    assert alone > 20  # rows where one donor alone has read as far
    scored = beside(donors, target, texts).likelihoods
    for name, total in expected.items():
        tokens = float(sum(scored[name].tokens))
        assert scored[name].per_token == pytest.approx(total / tokens, rel=1e-4)


def test_of_a_large_vocabulary_all_tokens_are_scored(donors, target, texts, monkeypatch):
    """As fits do with several donors."""
    small = losses(beside(donors, target, texts))
    monkeypatch.setattr(large_vocabulary, "WHOLE", 100)
    assert large_vocabulary.is_large(target)
    assert losses(beside(donors, target, texts)) == pytest.approx(small, rel=1e-6)
