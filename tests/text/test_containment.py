"""A text that a longer one contains goes; what nothing contains stays as it was."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from tests.conftest import write_document
from transplant.text import builtin
from transplant.text.containment import LEAST, SHARE, find_contained
from transplant.text.dedup import drop_near_duplicates
from transplant.text.documents import read_corpus

LONG = [" ".join(write_document(seed + part) for part in (0, 300, 600)) for seed in range(6)]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("change", [0, 1])
def test_a_text_inside_a_longer_one_goes_wherever_it_stands(first, change):
    inside = write_document(302).replace("the", "that", change)
    texts = [inside, *LONG] if first else [*LONG, inside]
    kept = drop_near_duplicates(texts)
    assert [texts[number] for number in kept] == LONG
    assert drop_near_duplicates(texts, contained=False) == [*range(7)]  # control


def test_a_text_of_which_half_is_inside_stays_and_so_does_a_phrase():
    half = write_document(302)[: len(write_document(302)) // 2] + " " + write_document(900)
    phrase = " ".join(write_document(302).split()[:LEAST])
    texts = [*LONG, half, phrase]
    assert drop_near_duplicates(texts) == [*range(8)]
    assert drop_near_duplicates([*texts, write_document(302)]) == [*range(8)]  # control


def test_where_nothing_is_contained_the_result_is_that_of_near_duplicates_alone():
    texts = [write_document(number % 40) for number in range(60)]
    kept = drop_near_duplicates(texts)
    assert kept == drop_near_duplicates(texts, contained=False) == [*range(40)]


@pytest.mark.parametrize("seed", range(20))
def test_those_are_found_that_sets_of_shingles_contain(seed):
    """Against all pairs, of random sets that are drawn from one another."""
    draw = random.Random(seed)
    sets: list[set[int]] = []
    for number in range(40):
        own = {draw.randrange(2**32) for _ in range(draw.randrange(5, 80))}
        if number and draw.random() < 0.6:
            other = sorted(draw.choice(sets))
            own = {
                *draw.sample(other, draw.randrange(len(other) + 1)),
                *[*own][: draw.randrange(5)],
            }
        sets.append(own)
    expected = [
        a
        for a, own in enumerate(sets)
        if len(own) >= LEAST
        and any(
            len(own & other) >= SHARE * len(own) and (len(other), -b) > (len(own), -a)
            for b, other in enumerate(sets)
            if b != a
        )
    ]
    assert find_contained([np.array(sorted(own), np.uint32) for own in sets]) == expected


def test_a_heading_of_every_text_goes_and_they_stay():
    """As a licence in a file of its own."""
    heading = write_document(1)
    texts = [f"{heading} {write_document(number)}" for number in range(50, 90)]
    assert drop_near_duplicates(texts) == [*range(40)]
    assert drop_near_duplicates([*texts, heading]) == [*range(40)]


def test_nothing_and_empty_texts_contain_nothing():
    assert find_contained([]) == []
    assert find_contained([np.empty(0, np.uint32)] * 3) == []


def test_a_corpus_is_without_them_and_a_built_in_one_as_it_was(tmp_path, monkeypatch):
    texts = [*LONG, write_document(302)]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert [it.text for it in read_corpus(str(file)).documents] == LONG

    def shipped(_progress):
        yield from ((str(number), text) for number, text in enumerate(texts))

    monkeypatch.setitem(builtin.BUILTIN, "prose", shipped)
    monkeypatch.setattr("transplant.text.kept.installed_state", lambda _name: None)
    assert [it.text for it in read_corpus("prose").documents] == texts
