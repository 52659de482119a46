"""Settings of a LoRA in `adapter_config.json`: the maps it changes, their ranks and scales.

    W' = W + s B A        A [rank, in], B [out, rank]; s = alpha / rank, rsLoRA: alpha / sqrt(rank)

LoRA: Hu et al. 2021, arXiv:2106.09685; rsLoRA: Kalajdzievski 2023, arXiv:2312.03732.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from transplant.surgery.lora.patterns import Matcher

ALL_LINEAR = "all-linear"
BIASES = ("none", "lora_only", "all")


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """The settings that decide what the stored tensors mean."""

    rank: int
    """Of every pair that `rank_pattern` does not name."""
    alpha: float
    """Of every pair that `alpha_pattern` does not name."""
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    """Ranks by the end of a module's name, a regular expression."""
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    """The same for alpha."""
    stabilised: bool = False
    """Whether alpha is divided by the root of the rank (rsLoRA)."""
    targets: tuple[str, ...] | str | None = None
    """Ends of names, one regular expression, `all-linear`, or None: what the keys tell."""
    excluded: tuple[str, ...] | str = ()
    """Ends of names, or one regular expression, that `targets` does not mean."""
    layers: tuple[int, ...] = ()
    """Of targets that stand in numbered blocks, these alone; empty for all."""
    layers_pattern: tuple[str, ...] = ()
    """What the lists of those blocks are called; empty for any name."""
    saved_modules: tuple[str, ...] = ()
    """Ends of the names of modules that were trained whole."""
    bias: str = "none"
    """Whose biases were trained: `none`, `lora_only` or `all`."""
    pair_bias: bool = False
    """Whether B has a bias of its own."""
    base: str | None = None
    """The backbone that it was trained on, as its maker called it."""
    revision: str | None = None
    """The hub revision of that backbone."""
    matcher: Matcher = field(default_factory=Matcher, compare=False, repr=False)
    """What matches its patterns."""

    def rank_of(self, module: str) -> int:
        """The rank of the pair on a module."""
        return self.rank_pattern.get(self._named_by(self.rank_pattern, module), self.rank)

    def scale_of(self, module: str) -> float:
        """What B A of a module is multiplied with."""
        alpha = self.alpha_pattern.get(self._named_by(self.alpha_pattern, module), self.alpha)
        rank = self.rank_of(module)
        return alpha / (math.sqrt(rank) if self.stabilised else rank)

    def is_whole(self, module: str) -> bool:
        """Whether a module, or one that it is inside, was trained whole."""
        parts = module.split(".")
        owners = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        return any(owner.endswith(name) for owner in owners for name in self.saved_modules)

    def is_target(self, module: str) -> bool:
        """Whether the settings name this module as one to adapt; with `all-linear`, any."""
        if self.is_whole(module) or (self.excluded and self._matches(self.excluded, module)):
            return False
        if self.targets is None:
            return False
        if isinstance(self.targets, str):
            return self.targets == ALL_LINEAR or self._matches(self.targets, module)
        if module in self.targets:  # by its whole name, whatever layer it is in
            return True
        in_layers = not self.layers or self._in_layers(module)
        return in_layers and self._matches(self.targets, module)

    def _in_layers(self, module: str) -> bool:
        named = [rf"(?:^|.*?\.){name}\.(?P<idx>\d+)\." for name in self.layers_pattern]
        for pattern in named or [r".*?\.[^.]*\.(?P<idx>\d+)\."]:
            found = self.matcher.match(pattern, module)
            if found:
                return int(found["idx"]) in self.layers
        return False

    def _matches(self, names: tuple[str, ...] | str, module: str) -> bool:
        """Names are whole, or the end of a module's name; a single text is a regular expression."""
        if isinstance(names, str):
            return self.matcher.match(names, module, whole=True) is not None
        return any(module == name or module.endswith(f".{name}") for name in names)

    def _named_by(self, patterns: Mapping[str, object], module: str) -> str:
        """The first pattern that ends a module's name; the name itself where none does."""
        for key in patterns:
            if self.matcher.match(rf"(.*\.)?({key})$", module):
                return key
        return module
