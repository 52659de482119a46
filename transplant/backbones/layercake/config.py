"""The configuration of a LayerCake core and of the domain modules in it."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any

from torch import nn
from transformers import PreTrainedConfig

from transplant.backbones.layercake.forms import FORMS, choose_heads
from transplant.backbones.layercake.names import MODULE_NAME, MODULE_NAME_RULE
from transplant.backbones.layercake.sizes import CoreSize
from transplant.errors import InputError

POSITIONS = ("rotary", "learned")
_COUNTS = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "d_abi",
)  # fmt: skip


class LayerCakeConfig(PreTrainedConfig):
    """A core: its shape, the width of the shared space, and the modules that it holds.

    Raises:
        InputError: a value that no core can have.
    """

    model_type = "layercake"
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 4096
    """Entries of the tokenizer."""
    hidden_size: int = 160
    """Width of the hidden states."""
    num_hidden_layers: int = 4
    """Core blocks."""
    num_attention_heads: int = 5
    """Attention heads of a core block."""
    intermediate_size: int = 640
    """Width inside the feed-forward part of a core block."""
    max_position_embeddings: int = 512
    """The longest window in tokens."""
    positions: str = "rotary"
    """`rotary` or `learned`."""
    rope_theta: float = 10_000.0
    """The base of the core's rotary positions."""
    d_abi: int = 128
    """Width of the shared space."""
    initializer_range: float = 0.02
    """Standard deviation of the initial weights."""
    layer_norm_eps: float = 1e-5
    """Of the core's LayerNorms."""
    tie_word_embeddings: bool = True
    """Whether the head is the embedding matrix."""
    use_cache: bool = True
    """Whether a pass in evaluation mode returns its keys and values."""
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None
    router: bool = False
    """Whether each module has a gate for every position."""
    domain_modules: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name -> {"form": "lite" or "full", "active": bool, "weight": float}."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        for name in _COUNTS:
            _check_count(name, getattr(self, name))
        if self.positions not in POSITIONS:
            raise InputError("unknown positions", expected=list(POSITIONS), found=self.positions)
        self._check_heads()
        for name in ("initializer_range", "layer_norm_eps", "rope_theta"):
            if not _is_number(value := getattr(self, name)) or value <= 0:
                raise InputError(f"{name} must be positive", found=value)
        if not isinstance(self.domain_modules, dict):
            raise InputError("domain_modules must be a dict by name", found=self.domain_modules)
        self.domain_modules = {
            name: self.check_module(name, entry) for name, entry in self.domain_modules.items()
        }

    @classmethod
    def from_size(cls, size: CoreSize, vocab_size: int, **options: Any) -> LayerCakeConfig:
        """The configuration of a named size; `options` are further fields."""
        return cls(
            vocab_size=vocab_size,
            hidden_size=size.d_model,
            num_hidden_layers=size.n_layers,
            num_attention_heads=size.n_heads,
            intermediate_size=size.d_ff,
            d_abi=size.d_abi,
            **options,
        )

    def check_module(self, name: str, entry: dict[str, Any]) -> dict[str, Any]:
        """The entry of one module, with `active` and `weight` filled in.

        Raises:
            InputError: a name, form, switch or weight that cannot be used.
        """
        check_name(name)
        entry = {"active": True, "weight": 1.0, **entry}
        if set(entry) != {"form", "active", "weight"}:
            raise InputError(
                f"domain module {name!r} is not described",
                expected="form, active and weight",
                found=sorted(entry),
            )
        if entry["form"] not in FORMS:
            raise InputError(
                f"domain module {name!r} has no such form",
                expected=f"one of {list(FORMS)}",
                found=entry["form"],
            )
        if entry["form"] == "full":
            choose_heads(self.d_abi)
        if not isinstance(entry["active"], bool):
            raise InputError(
                f"`active` of {name!r} is a switch", expected="a bool", found=entry["active"]
            )
        if not _is_number(entry["weight"]):
            raise InputError(
                f"the weight of {name!r}", expected="a finite number", found=entry["weight"]
            )
        return {**entry, "weight": float(entry["weight"])}

    def _check_heads(self) -> None:
        """Raises where the heads do not divide the width into what the positions need."""
        step = self.num_attention_heads * (2 if self.positions == "rotary" else 1)
        if self.hidden_size % step:
            even = " of even width (rotary positions)" if self.positions == "rotary" else ""
            raise InputError(
                "hidden_size does not part into the heads",
                expected=f"{self.num_attention_heads} equal heads{even}",
                found=self.hidden_size,
            )


def check_name(name: str) -> None:
    """Raises InputError unless a domain module can go by this name."""
    if not isinstance(name, str) or not MODULE_NAME.fullmatch(name):
        raise InputError(
            "a domain module cannot have this name",
            expected=MODULE_NAME_RULE,
            found=repr(name),
        )
    if hasattr(nn.ModuleDict, name):  # torch keeps modules as attributes: `train`, `half`, `keys`
        raise InputError(f"torch has taken the name {name!r}", hint=f"{name}-module")


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} of a core", expected="a whole number above 0", found=value)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)
