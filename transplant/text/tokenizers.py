"""Tokenizers trained on a corpus, for backbones that are trained from scratch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from transplant.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
PAD, UNKNOWN = "<pad>", "<unk>"
# GPT-2's pieces; `{space}` is the character that stands for a space (SentencePiece writes ▁).
PIECES = (
    r"'(?:[sdmt]|ll|ve|re)|{space}?\p{{L}}+|{space}?\p{{N}}+|{space}?[^\s{space}\p{{L}}\p{{N}}]+"
    r"|[\s{space}]+(?![^\s{space}])|[\s{space}]+"
)
GPT2_PIECES = PIECES.format(space=" ")
UNIGRAM_PIECES = PIECES.format(space="▁")
LLAMA_PIECES = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+\n*|\s*\n|\s+(?!\S)|\s+"


def train_tokenizer(
    kind: str, texts: Iterable[str], vocab_size: int, *, context: int
) -> PreTrainedTokenizerFast:
    """Trains a lossless tokenizer with character offsets.

    Args:
        kind: `bpe` (byte-level BPE, GPT-2's pieces), `bpe-digits` (byte-level BPE that cuts numbers
            into threes, as Llama 3 does) or `unigram` (as T5, with byte fallback).
        texts: the corpus.
        vocab_size: entries, special tokens included.
        context: the longest input of the model that will use it, in tokens.
    """
    from transformers import PreTrainedTokenizerFast

    if kind not in TRAINERS:
        raise InputError(f"unknown tokenizer kind {kind!r}", expected=f"one of {sorted(TRAINERS)}")
    return PreTrainedTokenizerFast(
        tokenizer_object=TRAINERS[kind](texts, vocab_size),
        eos_token=END_OF_TEXT,
        pad_token=PAD,
        unk_token=UNKNOWN if kind == "unigram" else None,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def _byte_bpe(texts: Iterable[str], vocab_size: int, pieces: str) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _unigram(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )

    tokenizer = Tokenizer(models.Unigram())
    # A space becomes ▁ in place, so that runs of spaces survive and every offset stays exact.
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(UNIGRAM_PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Fuse(), decoders.Replace("▁", " ")]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, END_OF_TEXT, UNKNOWN, *(f"<0x{byte:02X}>" for byte in range(256))],
        unk_token=UNKNOWN,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _with_byte_fallback(tokenizer)


def _with_byte_fallback(tokenizer: Tokenizer) -> Tokenizer:
    """The trainer cannot ask for byte fallback; the model can."""
    import json

    from tokenizers import Tokenizer

    state = json.loads(tokenizer.to_str())
    special = len(state["added_tokens"])
    vocab = state["model"]["vocab"]
    state["model"]["vocab"] = vocab[:special] + _settled(vocab[special:])
    state["model"]["byte_fallback"] = True
    byte_names = {f"<0x{byte:02X}>" for byte in range(256)}
    # As special tokens the bytes would be found in, and dropped from, ordinary text.
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] not in byte_names]
    return Tokenizer.from_str(json.dumps(state))


def _settled(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Gives every run the same scores and ids; the trainer follows the order of a hash map.

    Its sums differ by 1e-15 between runs, and the characters that it would have lost get the lowest
    score plus 0, 1e-4, 2e-4, ... in that order: here they all get the lowest.
    """
    lowest = min((score for _, score in pieces), default=0.0)
    ceiling = lowest + 1e-4 * sum(len(piece) == 1 for piece, _ in pieces)
    settled = [
        (piece, round(lowest if len(piece) == 1 and score < ceiling else score, 9))
        for piece, score in pieces
    ]
    return sorted(settled, key=lambda entry: (-entry[1], entry[0]))


TRAINERS: dict[str, Callable[[Iterable[str], int], Tokenizer]] = {
    "bpe": lambda texts, size: _byte_bpe(texts, size, GPT2_PIECES),
    "bpe-digits": lambda texts, size: _byte_bpe(texts, size, LLAMA_PIECES),
    "unigram": _unigram,
}
