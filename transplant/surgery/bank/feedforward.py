"""A feed-forward part, plain or gated, with the norms around it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from transformers.activations import ACT2FN

from transplant.surgery.bank.norm import Norm, NormRecipe


@dataclass(frozen=True, kw_only=True)
class FeedForwardRecipe:
    """What a feed-forward part is, but for its tensors."""

    width: int
    """Of the residual stream."""
    inner: int
    """Of the hidden layer."""
    activation: str
    """As `transformers` names it."""
    gated: bool
    """Whether the hidden layer is act(gate x) * (up x), and not act(up x)."""
    bias: bool
    """Whether its maps have biases."""
    norm: NormRecipe
    """The norm before it, or after the sum."""
    norm_after_sum: bool = False
    """Whether `norm` comes after x was added: LN(x + F(x)), as in OPT-350m."""
    norm_out: NormRecipe | None = None
    """A norm of what is added, as in Gemma 2."""
    parallel: bool = False
    """Whether it reads what the attention of its block reads, as in GPT-NeoX."""


class FeedForward(nn.Module):
    """What the part adds to the residual stream x [..., width]: x alone is enough to run it."""

    sequential = False

    def __init__(self, recipe: FeedForwardRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.norm = Norm(recipe.norm)
        self.up = nn.Linear(recipe.width, recipe.inner, bias=recipe.bias)
        if recipe.gated:
            self.gate = nn.Linear(recipe.width, recipe.inner, bias=recipe.bias)
        self.down = nn.Linear(recipe.inner, recipe.width, bias=recipe.bias)
        self.act = ACT2FN[recipe.activation]
        if recipe.norm_out is not None:
            self.norm_out = Norm(recipe.norm_out)

    @property
    def width(self) -> int:
        """Of the residual stream."""
        return self.recipe.width

    def forward(self, x: Tensor, *_: object) -> Tensor:
        """What it adds to x [..., width]: the same shape."""
        recipe = self.recipe
        h = x if recipe.norm_after_sum else self.norm(x)
        inner = self.act(self.gate(h)) * self.up(h) if recipe.gated else self.act(self.up(h))
        added = self.down(inner)
        if recipe.norm_out is not None:
            added = self.norm_out(added)
        return self.norm(x + added) - x if recipe.norm_after_sum else added
