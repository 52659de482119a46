"""How each token of one vocabulary is spelled in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transplant.alignment.tokens import canonical_tokens, token_bytes
from transplant.errors import ShapeError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

KINDS = ("none", "exact", "special", "decomposed", "prefix")
"""`exact`: the same bytes; `special`: the same role (end of text, padding, ...); `decomposed`:
several tokens that spell it together; `prefix`: its first bytes alone can be spelled."""
ROLES = ("bos_token", "eos_token", "pad_token", "unk_token")


@dataclass(frozen=True)
class TokenMap:
    """Of each token of B: the tokens of A that stand for it, and in which way."""

    kinds: Tensor  # uint8 [vocab_b], places in KINDS
    starts: (
        Tensor  # int64 [vocab_b + 1]: the spelling of token t is spelled[starts[t]:starts[t + 1]]
    )
    spelled: Tensor  # int64 [pieces]: ids of A

    def __len__(self) -> int:
        """Tokens of B."""
        return len(self.kinds)

    def spelling(self, token: int) -> list[int]:
        """The tokens of A for one token of B; none where `kinds` says so."""
        return self.spelled[self.starts[token] : self.starts[token + 1]].tolist()

    def of_kind(self, *kinds: str) -> Tensor:
        """The tokens of B of these kinds, ascending."""
        chosen = torch.tensor([KINDS.index(kind) for kind in kinds], dtype=torch.uint8)
        return torch.isin(self.kinds, chosen).nonzero().flatten()

    def pairs(self) -> tuple[Tensor, Tensor]:
        """(ids of A, ids of B) of the tokens that have one counterpart: exact and special."""
        ours = self.of_kind("exact", "special")
        return self.spelled[self.starts[ours]], ours

    def coverage(self, counts: Mapping[int, int] | None = None) -> dict[str, float]:
        """The share of each kind: of the tokens of B, or of the text that `counts` counted.

        Args:
            counts: how often each token of B occurs in some text.
        """
        weights = torch.ones(len(self), dtype=torch.float64)
        if counts is not None:
            weights.zero_()
            for token, count in counts.items():
                weights[token] = count
        total = weights.sum().clamp_min(1.0)
        return {
            kind: float(weights[self.kinds == number].sum() / total)
            for number, kind in enumerate(KINDS)
        }

    def as_tensors(self) -> dict[str, Tensor]:
        """Everything, for a file; `from_tensors` reads it back."""
        return {"kinds": self.kinds, "starts": self.starts, "spelled": self.spelled}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> TokenMap:
        """Reads what `as_tensors` gave.

        Raises:
            ShapeError: tensors that are missing or do not fit together.
        """
        names = ("kinds", "starts", "spelled")
        if set(tensors) != set(names):
            raise ShapeError("a token map", expected=list(names), found=sorted(tensors))
        made = cls(**tensors)
        fitting = (
            all(part.ndim == 1 and not part.is_floating_point() for part in tensors.values())
            and len(made.starts) == len(made) + 1
            and int(made.starts[0]) == 0
            and int(made.starts[-1]) == len(made.spelled)
            and bool((made.starts.diff() >= 0).all())
        )
        if not fitting:
            raise ShapeError("a token map", expected=f"{len(made) + 1} ascending starts")
        return made


def map_tokens(
    a: PreTrainedTokenizerBase, b: PreTrainedTokenizerBase, size: int | None = None
) -> TokenMap:
    """Spells every token of B in tokens of A, by the bytes that both stand for.

    Args:
        a: the vocabulary to spell in.
        b: the vocabulary to spell.
        size: entries of B's embedding table, which may be more than its tokenizer has.
    """
    letters = canonical_tokens(a)
    longest = max(map(len, letters), default=0)
    ordinary = token_bytes(b)
    by_role = _same_role(a, b)
    kinds, spellings = [], []
    for token in range(max(size or 0, max(b.get_vocab().values()) + 1)):
        raw = ordinary.get(token)
        if raw is None:
            spelling = [by_role[token]] if token in by_role else []
            kind = "special" if spelling else "none"
        elif raw in letters:
            kind, spelling = "exact", [letters[raw]]
        else:
            spelling, whole = spell(raw, letters, longest)
            kind = "decomposed" if whole else "prefix" if spelling else "none"
        kinds.append(KINDS.index(kind))
        spellings.append(spelling)
    lengths = torch.tensor([0, *map(len, spellings)])
    return TokenMap(
        kinds=torch.tensor(kinds, dtype=torch.uint8),
        starts=lengths.cumsum(0),
        spelled=torch.tensor([i for spelling in spellings for i in spelling], dtype=torch.long),
    )


def spell(raw: bytes, letters: Mapping[bytes, int], longest: int) -> tuple[list[int], bool]:
    """The fewest tokens that spell `raw`, or as much of its beginning as can be spelled.

    Of spellings of equal length the one whose last tokens are longer is taken.

    Args:
        raw: the bytes.
        letters: tokens by their bytes.
        longest: bytes of the longest of them.

    Returns:
        The tokens, and whether they spell all of it.
    """
    best: list[tuple[int, int] | None] = [(0, 0)] + [None] * len(
        raw
    )  # tokens, where the last began
    for end in range(1, len(raw) + 1):
        for begin in range(max(0, end - longest), end):
            before = best[begin]
            if before is None or raw[begin:end] not in letters:
                continue
            found, known = (before[0] + 1, begin), best[end]
            if known is None or found[0] < known[0]:
                best[end] = found
    end = reached = max(place for place, entry in enumerate(best) if entry is not None)
    tokens: list[int] = []
    while end:
        entry = best[end]
        assert entry is not None
        tokens.append(letters[raw[entry[1] : end]])
        end = entry[1]
    return tokens[::-1], reached == len(raw)


def _same_role(a: PreTrainedTokenizerBase, b: PreTrainedTokenizerBase) -> dict[int, int]:
    """Special tokens of B to those of A in the same role."""
    roles = {}
    for role in ROLES:
        ours, theirs = (getattr(side, f"{role}_id", None) for side in (b, a))
        if isinstance(ours, int) and isinstance(theirs, int):
            roles.setdefault(ours, theirs)
    return roles
