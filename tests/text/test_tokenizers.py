"""Trained tokenizers lose nothing, and their offsets are exact."""

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from transplant.errors import InputError
from transplant.text.tokenizers import END_OF_TEXT, TRAINERS, train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 400
HARD_TEXTS = [
    "def f( x ):\n\tif  x==1 :\n        return   {'a':  1}\n\n\n",
    "  leading and trailing  ",
    "\t\t\n \n",
    "\r\nwindows\r\n",
    "no-break\u00a0ideographic\u3000zero\u200bwidth\u2028line\u0085next",
    "你好,世界。漢字カナ 한국어",
    "🙂👩‍👩‍👧‍👦🇫🇷 ok",
    "é e\u0301 ﬁ ÅÅ",
    "1234567 1,000.5 don't WE'LL",
    "<0x41> <s> [PAD] control\x01\x7f",
    "",
]


@pytest.fixture(scope="module", params=sorted(TRAINERS))
def tokenizer(
    request: pytest.FixtureRequest, tiny_texts: tuple[str, ...]
) -> "PreTrainedTokenizerFast":
    return train_tokenizer(request.param, tiny_texts[:20], VOCABULARY, context=64)


def encode(tokenizer: "PreTrainedTokenizerFast", text: str) -> tuple[list[int], list]:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return encoded["input_ids"], encoded["offset_mapping"]


@pytest.mark.parametrize("text", HARD_TEXTS, ids=ascii)
def test_decoding_gives_the_text_back(tokenizer: "PreTrainedTokenizerFast", text: str) -> None:
    ids, _ = encode(tokenizer, text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk_token_id is None or tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("text", HARD_TEXTS, ids=ascii)
def test_offsets_cover_the_text_in_order(tokenizer: "PreTrainedTokenizerFast", text: str) -> None:
    _, offsets = encode(tokenizer, text)
    spans = sorted(set(offsets))  # tokens within one character share its span
    assert offsets == sorted(offsets)
    assert "".join(text[start:end] for start, end in spans) == text


def test_a_token_is_the_text_of_its_offsets(
    tokenizer: "PreTrainedTokenizerFast", tiny_texts: tuple[str, ...]
) -> None:
    text = tiny_texts[-1]  # ASCII, and not among the texts of the training
    ids, offsets = encode(tokenizer, text)
    assert [tokenizer.decode([token]) for token in ids] == [text[a:b] for a, b in offsets]


def test_it_learned_words_and_keeps_its_special_tokens(
    tokenizer: "PreTrainedTokenizerFast", tiny_texts: tuple[str, ...]
) -> None:
    ids, _ = encode(tokenizer, tiny_texts[0])
    assert len(ids) < 0.7 * len(tiny_texts[0])
    assert len(tokenizer) <= VOCABULARY
    assert tokenizer.eos_token == END_OF_TEXT
    assert encode(tokenizer, f"a{END_OF_TEXT}")[0][-1] == tokenizer.eos_token_id
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert tokenizer.model_max_length == 64


def test_it_survives_a_round_trip_through_files(
    tokenizer: "PreTrainedTokenizerFast", tmp_path
) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in HARD_TEXTS:
        assert encode(loaded, text) == encode(tokenizer, text)
        assert loaded.decode(encode(loaded, text)[0]) == text


def test_only_digits_of_threes_are_cut_differently(tiny_texts: tuple[str, ...]) -> None:
    numbers = ["7654321"] * 50
    whole = train_tokenizer("bpe", [*tiny_texts[:5], *numbers], 500, context=64)
    threes = train_tokenizer("bpe-digits", [*tiny_texts[:5], *numbers], 500, context=64)
    assert len(encode(whole, "7654321")[0]) == 1
    assert [end for _, end in encode(threes, "7654321")[1]] == [3, 6, 7]


@pytest.mark.parametrize("kind", sorted(TRAINERS))
def test_another_process_trains_the_same_tokenizer(kind: str, tiny_texts: tuple[str, ...]) -> None:
    script = (
        "import sys, hashlib; from transplant.text.tokenizers import TRAINERS\n"
        "texts = sys.stdin.buffer.read().decode().split('\\n')\n"
        f"state = TRAINERS[{kind!r}](texts, {VOCABULARY}).to_str()\n"
        "print(hashlib.sha256(state.encode()).hexdigest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", script],
        input="\n".join(tiny_texts[:20]).encode(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        check=True,
    )
    here = TRAINERS[kind](tiny_texts[:20], VOCABULARY).to_str()
    assert elsewhere.stdout.decode().strip() == hashlib.sha256(here.encode()).hexdigest()


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"wordpiece.*bpe-digits.*unigram"):
        train_tokenizer("wordpiece", ["text"], 300, context=64)
