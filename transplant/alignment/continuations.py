"""How tokens go on, where some of their bytes are read already.

A target may end a token inside one of the donor's. The donor has no state there, but it has said at
its last boundary which token comes: of those that begin with the bytes read since, what is left is
what it says next. It counts for the longest token of the target that it begins with, as in
`alignment.push_forward`, of which this is the case that nothing is read yet.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transplant.alignment.tokens import canonical_tokens, token_bytes, tokens_beginning

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Continuations:
    """A donor's tokens by their bytes, and the target's tokens that the rest of each begins with.

    Args:
        donor: its tokenizer.
        target: its tokenizer.
        sizes: the number of the donor's logits, and of the target's.
    """

    def __init__(
        self,
        donor: PreTrainedTokenizerBase,
        target: PreTrainedTokenizerBase,
        sizes: tuple[int, int],
    ) -> None:
        named = token_bytes(donor).items()
        ordered = sorted((raw, number) for number, raw in named if number < sizes[0])
        self._raw = [raw for raw, _ in ordered]
        self._ids = torch.tensor([number for _, number in ordered], dtype=torch.long)
        self._targets = {r: n for r, n in canonical_tokens(target).items() if n < sizes[1]}
        self._bytes = {n: r for n, r in token_bytes(target).items() if n < sizes[1]}
        self._known: dict[bytes, Continued] = {}
        self._completing: dict[tuple[bytes, int], Tensor] = {}

    def after(self, read: bytes) -> Continued:
        """How tokens of the donor go on that begin with some bytes, and are longer."""
        if read not in self._known:
            first = bisect_right(self._raw, read)
            last = bisect_right(self._raw, read, lo=first, key=lambda raw: raw[: len(read)])
            found = {}
            for place in range(first, last):
                rest = self._raw[place][len(read) :]
                token = next(tokens_beginning(rest, self._targets), None)
                if token is not None:
                    found[place] = token
            images = dict.fromkeys(found.values())
            number = {token: column for column, token in enumerate(images)}
            self._known[read] = Continued(
                tokens=self._ids[torch.tensor([*found], dtype=torch.long)],
                columns=torch.tensor([number[t] for t in found.values()], dtype=torch.long),
                images=torch.tensor([*images], dtype=torch.long),
            )
        return self._known[read]

    def completing(self, read: bytes, token: int) -> Tensor:
        """The donor's tokens that complete one of the target's, some of which is read already.

        Of the bytes read and a token of the donor behind them, the longest token of the target that
        they begin with is the asked one: with nothing read these are the tokens that M counts for
        it. None where it does not begin with the bytes, or is not longer.

        Args:
            read: bytes.
            token: of the target.

        Returns:
            ids of the donor [tokens]
        """
        key = read, token
        if key not in self._completing:
            whole = self._bytes.get(token, b"")
            found: list[int] = []
            if len(whole) > len(read) and whole.startswith(read):
                rest = whole[len(read) :]
                first = bisect_left(self._raw, rest)
                last = bisect_right(self._raw, rest, lo=first, key=lambda raw: raw[: len(rest)])
                for place in range(first, last):
                    image = next(tokens_beginning(read + self._raw[place], self._targets), None)
                    if image is not None and self._bytes[image] == whole:
                        found.append(place)
            self._completing[key] = self._ids[torch.tensor(found, dtype=torch.long)]
        return self._completing[key]

    def classes(self, tokens: Sequence[int], continued: Continued) -> list[int]:
        """The column of each token of the target, or of what it begins with; -1 for none.

        Args:
            tokens: of the target.
            continued: how the donor goes on.
        """
        known = continued.known
        for token in tokens:
            if token not in known:
                shorter = tokens_beginning(self._bytes.get(token, b"")[:-1], self._targets)
                known[token] = next((known[piece] for piece in shorter if piece in known), -1)
        return [known[token] for token in tokens]


@dataclass(frozen=True)
class Continued:
    """The tokens of a donor that go on after some bytes, and what of the target they go on with."""

    tokens: Tensor  # of the donor [tokens]
    columns: Tensor  # of `images`, what each goes on with [tokens]
    images: Tensor  # of the target, no two alike [images]

    @cached_property
    def known(self) -> dict[int, int]:
        """The columns of the images, and of all other tokens that were asked for before."""
        return {token: column for column, token in enumerate(self.images.tolist())}
