"""Near-duplicates go, distinct texts stay."""

import pytest

from transplant.text.dedup import drop_near_duplicates


def test_distinct_texts_all_stay(tiny_texts: tuple[str, ...]) -> None:
    assert drop_near_duplicates(tiny_texts) == list(range(len(tiny_texts)))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text + " One more sentence.",
        lambda text: text.replace(" ", "\n  "),
        lambda text: text.replace("The", "This", 1),
    ],
    ids=["same", "appended", "other spaces", "one word"],
)
def test_the_first_of_two_near_duplicates_stays(tiny_texts: tuple[str, ...], change) -> None:
    texts = [*tiny_texts[:5], change(tiny_texts[2]), *tiny_texts[5:8]]
    assert drop_near_duplicates(texts) == [0, 1, 2, 3, 4, 6, 7, 8]


def test_half_of_a_text_in_common_is_no_duplicate(tiny_texts: tuple[str, ...]) -> None:
    halves = [text[: len(text) // 2] for text in tiny_texts]
    texts = [first + second for first, second in zip(halves[:-1], halves[1:], strict=True)][::2]
    mixed = [first + second for first, second in zip(halves[:-2:2], halves[2::2], strict=True)]
    kept = drop_near_duplicates(texts + mixed)
    assert len(kept) >= 0.95 * len(texts + mixed)


def test_short_texts_are_compared_whole() -> None:
    assert drop_near_duplicates(["a b", "a b", "a c", "!", "?"]) == [0, 2, 3, 4]


def test_nothing_in_nothing_out() -> None:
    assert drop_near_duplicates([]) == []
