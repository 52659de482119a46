"""Which tokens of two vocabularies stand for the same bytes, and how often they occur."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_KNOWN: WeakKeyDictionary[Any, tuple[Any, dict[int, bytes]]] = WeakKeyDictionary()
"""The bytes of each tokenizer's tokens, and how many it had: Gemma's definition takes seconds."""


@dataclass(frozen=True)
class SharedTokens:
    """Tokens that both vocabularies have: ids on either side, and their weights."""

    ids_a: Tensor  # [shared]
    ids_b: Tensor  # [shared]
    weights: Tensor  # [shared], float64, sums to 1; 0 where a token was never counted
    coverage: float
    """The share of the counted mass whose tokens are shared."""


def token_bytes(tokenizer: PreTrainedTokenizerBase) -> dict[int, bytes]:
    """Every ordinary token as the bytes it stands for: Ġ and ▁ are a space, <0x0A> a line feed.

    Special tokens stand for no text and are left out. They are read once for each tokenizer, and
    again where it has got other tokens since.
    """
    state = len(tokenizer), tuple(tokenizer.all_special_ids)
    known = _KNOWN.get(tokenizer)
    if known is None or known[0] != state:
        known = _KNOWN[tokenizer] = state, _read_bytes(tokenizer)
    return dict(known[1])


def _read_bytes(tokenizer: PreTrainedTokenizerBase) -> dict[int, bytes]:
    backend: Any = tokenizer.backend_tokenizer
    definition = json.loads(backend.to_str())
    byte_level = "ByteLevel" in json.dumps(
        [definition.get("pre_tokenizer"), definition.get("decoder")]
    )
    read = _byte_level if byte_level else _sentencepiece
    special = set(tokenizer.all_special_ids)
    return {
        number: read(token)
        for token, number in tokenizer.get_vocab().items()
        if number not in special and token
    }


def canonical_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[bytes, int]:
    """The one token for each string of bytes; a piece goes before a fallback byte like <0x41>."""
    named = sorted(
        (len(str(tokenizer.convert_ids_to_tokens(number))), number, raw)
        for number, raw in token_bytes(tokenizer).items()
    )
    canonical: dict[bytes, int] = {}
    for _, number, raw in named:
        canonical.setdefault(raw, number)
    return canonical


def count_tokens(ids: Iterable[int], tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Counts tokens by their bytes, written as hexadecimal so that JSON can hold them."""
    names = {number: raw.hex() for number, raw in token_bytes(tokenizer).items()}
    counts = Counter(names[number] for number in ids if number in names)
    return dict(sorted(counts.items()))


def shared_tokens(
    a: PreTrainedTokenizerBase, b: PreTrainedTokenizerBase, counts: Mapping[str, int]
) -> SharedTokens:
    """Pairs the tokens of two vocabularies by their bytes and weighs them by their counts.

    Args:
        a: the donor's tokenizer.
        b: the target's tokenizer.
        counts: domain counts as `count_tokens` gives them; an uncounted token weighs nothing.
    """
    bytes_a, bytes_b = canonical_tokens(a), canonical_tokens(b)
    shared = [raw for raw in bytes_a if raw in bytes_b]
    mass = torch.tensor([counts.get(raw.hex(), 0) for raw in shared], dtype=torch.float64)
    total = max(1, sum(counts.values()))
    return SharedTokens(
        ids_a=torch.tensor([bytes_a[raw] for raw in shared], dtype=torch.long),
        ids_b=torch.tensor([bytes_b[raw] for raw in shared], dtype=torch.long),
        weights=mass / mass.sum().clamp_min(1.0),
        coverage=float(mass.sum() / total),
    )


def tokens_beginning(raw: bytes, vocabulary: Mapping[bytes, int]) -> Iterator[int]:
    """The tokens of a vocabulary that some bytes begin with, the longest first."""
    pieces = (raw[:length] for length in range(len(raw), 0, -1))
    return (vocabulary[piece] for piece in pieces if piece in vocabulary)


def beginnings(a: PreTrainedTokenizerBase, b: PreTrainedTokenizerBase, vocab_size: int) -> Tensor:
    """For every token of b the token of a that it begins with, the longest of them.

    Where a has the token itself that is the one; of a longer token it is what a reads first.

    Args:
        a: the donor's tokenizer.
        b: the target's tokenizer.
        vocab_size: the number of the target's logits.

    Returns:
        ids of a [vocab_size], -1 where no token of a begins it.
    """
    bytes_a = canonical_tokens(a)
    found = torch.full((vocab_size,), -1, dtype=torch.long)
    for number, raw in token_bytes(b).items():
        if number < vocab_size:
            found[number] = next(tokens_beginning(raw, bytes_a), -1)
    return found


def _byte_table() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes (Radford et al. 2019), inverted."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in set(printable)]
    table.update({chr(256 + number): byte for number, byte in enumerate(others)})
    return table


_BYTE_OF = _byte_table()


def _byte_level(token: str) -> bytes:
    try:
        return bytes(_BYTE_OF[character] for character in token)
    except KeyError:  # an added token, written as plain text
        return token.encode()


def _sentencepiece(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()
