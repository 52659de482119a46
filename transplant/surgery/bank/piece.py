"""Pieces by name: from a recipe and tensors to something that runs, and back.

`embeddings`, `lm_head`, `heads.2` (the attention of block 2), `heads.2.5` (one of its heads),
`ffn.2`, and `layer.2`, which is both parts of a block.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from transplant.backbones.layercake.blocks import Span
from transplant.errors import CorruptError, InputError, NotFoundError, foreign
from transplant.surgery.bank.attention import Attention, AttentionRecipe
from transplant.surgery.bank.feedforward import FeedForward, FeedForwardRecipe
from transplant.surgery.bank.norm import NormRecipe
from transplant.surgery.bank.tables import Embeddings, EmbeddingsRecipe, Head, HeadRecipe

Piece = Attention | FeedForward | Embeddings | Head
KINDS: dict[str, tuple[Any, Any]] = {
    "embeddings": (EmbeddingsRecipe, Embeddings),
    "heads": (AttentionRecipe, Attention),
    "ffn": (FeedForwardRecipe, FeedForward),
    "lm_head": (HeadRecipe, Head),
}
NAME = re.compile(r"(embeddings|lm_head|(?:ffn|layer)\.\d+|heads\.\d+(?:\.\d+)?)")


class Layer(nn.Module):
    """Both parts of a block: what they add to the residual stream x [batch, seq, width]."""

    sequential = True

    def __init__(self, heads: Attention, ffn: FeedForward) -> None:
        super().__init__()
        self.heads, self.ffn = heads, ffn

    @property
    def width(self) -> int:
        """Of the residual stream."""
        return self.heads.width

    def forward(self, x: Tensor, span: Span, layer: int = 0) -> Tensor:
        """What the block adds to x."""
        added = self.heads(x, span, layer)
        return added + self.ffn(x if self.ffn.recipe.parallel else x + added)


Part = Attention | FeedForward | Layer


@dataclass(frozen=True)
class Bank:
    """The pieces of one donor, by name; `layer.K` and single heads are made on demand."""

    pieces: dict[str, Piece]

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor, as `ffn.2/up.weight`."""
        return {
            f"{name}/{key}": tensor.detach()
            for name, piece in self.pieces.items()
            for key, tensor in piece.state_dict().items()
        }

    def recipes(self) -> dict[str, dict[str, Any]]:
        """What JSON can hold of each piece."""
        return {name: dataclasses.asdict(piece.recipe) for name, piece in self.pieces.items()}

    @classmethod
    def from_stored(cls, tensors: Mapping[str, Tensor], recipes: Mapping[str, Any]) -> Bank:
        """Rebuilds pieces.

        Raises:
            CorruptError: tensors and recipes that do not belong together.
        """
        pieces = {}
        for name, recipe in recipes.items():
            own = {
                key.partition("/")[2]: tensor
                for key, tensor in tensors.items()
                if key.partition("/")[0] == name
            }
            with foreign(
                f"piece {name} of the bank cannot be built",
                CorruptError,
                hint="`extract()` it again",
            ):
                pieces[name] = build_piece(name, recipe, own)
        return cls(pieces)

    def part(self, name: str) -> Part:
        """A part of a block, or a whole one, ready to run.

        Raises:
            InputError: no such name, or a piece that is no part of a block.
            NotFoundError: the bank does not hold it.
        """
        if not NAME.fullmatch(name) or "." not in name:
            raise InputError(
                "no part of a block", expected="ffn.2, heads.2, heads.2.0 or layer.2", found=name
            )
        kind, *numbers = name.split(".")
        if kind == "layer":
            heads, ffn = self.part(f"heads.{numbers[0]}"), self.part(f"ffn.{numbers[0]}")
            assert isinstance(heads, Attention)
            assert isinstance(ffn, FeedForward)
            if heads.recipe.before_encoder:
                raise InputError(
                    f"{name} attends to an encoder between its parts", hint="heads or ffn by itself"
                )
            return Layer(heads, ffn).eval()
        held = self.pieces.get(f"{kind}.{numbers[0]}")
        if not isinstance(held, Attention | FeedForward):
            raise NotFoundError(
                f"the bank holds no {kind}.{numbers[0]}",
                expected=f"one of {', '.join(self.pieces)}",
                hint="`extract(components='heads,ffn', layers=...)`",
            )
        return held.head(int(numbers[1])) if isinstance(held, Attention) and numbers[1:] else held


def build_piece(name: str, recipe: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Piece:
    """A piece from its recipe and its tensors, frozen."""
    recipe_class, piece_class = KINDS[name.split(".")[0]]
    norms = {
        key: NormRecipe(**value)
        for key, value in recipe.items()
        if key.startswith("norm") and isinstance(value, Mapping)
    }
    piece = piece_class(recipe_class(**{**recipe, **norms}))
    piece.load_state_dict(dict(tensors))
    return piece.requires_grad_(False).eval()
