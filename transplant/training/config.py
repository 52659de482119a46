"""The recipes, in a file of their own: reading a default must not load torch."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError
from transplant.validation import Count, above, at_least, at_most, check_bounds, one_of

WIDEST = 1 << 20  # of a shared space; backbones are narrower than 1 << 15


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """How a backbone is trained from scratch."""

    tokens: int = 10_000_000
    """Tokens read, over as many passes as that takes."""
    batch: Count = 8
    """Windows per step."""
    learning_rate: float = 2e-3
    """Peak rate of AdamW."""
    weight_decay: float = 0.1
    """Decay of matrices; vectors are not decayed."""
    clip: float = 1.0
    """Largest gradient norm."""
    seed: int = 0
    """Seed of the weights and of the order of the windows."""

    def __post_init__(self) -> None:
        check_bounds(self)
        at_least(self, 1, "tokens")
        above(self, 0, "learning_rate")


MATMUL_TYPES = ("auto", "float32", "bfloat16")


def check_matmul_type(name: str, field: str) -> None:
    """Refuses what is none of `MATMUL_TYPES`, by the name of the field."""
    if name not in MATMUL_TYPES:
        raise InputError(f"`{field}`", expected=f"one of {MATMUL_TYPES}", found=name)


WINDOW_CHOICES = ("first", "any")

NAMED_TAPS: dict[str, tuple[int, ...]] = {"all": (), "last": (-1,)}
"""Taps that mean the same on any backbone, as the configurations write them."""


def parse_taps(text: str) -> tuple[int, ...]:
    """Turns text into layers, as configurations write them.

    Args:
        text: `all`, `last`, or a list as `0,2,3`.

    Raises:
        InputError: it is none of these.
    """
    if text in NAMED_TAPS:
        return NAMED_TAPS[text]
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError("`taps`", expected="all, last, or a list as 0,2,3", found=text) from error


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a domain module and its interface are trained on a frozen backbone."""

    d_abi: int = 128
    """Width of the shared space."""
    taps: tuple[int, ...] = (-1,)
    """Layers that the interface reads, -1 for the last; none means all of them."""
    tap_norms: bool | None = None
    """Whether each tap is layer-normed; None: where there are several."""
    steps: int = 400
    """Optimizer steps at most."""
    batch: int = 4
    """Windows per step."""
    window: int = 512
    """Tokens per window."""
    train_tokens: int = 400_000
    """Tokens of the training split that are used."""
    window_choice: str = "first"
    """Windows of a document that are taken before its others: `first` ones, or `any`, which the
    seed draws. The beginnings of documents have a manner of their own, as headers and imports."""
    calibration_tokens: int = 16_000
    """Tokens of the calibration split on which early stopping is decided."""
    learning_rate: float = 2e-3
    """Peak rate of AdamW."""
    weight_decay: float = 0.01
    """Decay of matrices; vectors are not decayed."""
    warmup: float = 0.05
    """Share of the steps spent warming up."""
    clip: float = 1.0
    """Largest gradient norm."""
    evaluate_every: int = 50
    """Steps between looks at the calibration split."""
    patience: int = 3
    """Looks without improvement after which training stops."""
    matmul_type: str = "auto"
    """Type in which a step multiplies matrices, of the module and of the frozen head: `float32`,
    `bfloat16`, or `auto`, which is bfloat16 where the processor multiplies it natively. Weights,
    and the losses that decide, are float32."""
    seed: int = 0
    """Seed of the initial weights and of the order of the windows."""

    def __post_init__(self) -> None:
        at_least(self, 1, "d_abi", "steps", "batch", "train_tokens", "evaluate_every", "patience")
        at_least(self, 2, "window")
        at_most(self, WIDEST, "d_abi")
        above(self, 0, "learning_rate")
        if not 0 <= self.warmup < 1:
            raise InputError("`warmup`", expected="a share of the steps, 0 to 1", found=self.warmup)
        check_matmul_type(self.matmul_type, "matmul_type")
        one_of(self, "window_choice", WINDOW_CHOICES)

    @property
    def window_seed(self) -> int | None:
        """Draws the windows of a document; None for its first ones."""
        return window_seed(self.window_choice, self.seed)


UPDATE_KINDS = ("finetune", "lora", "half", "int8", "merge")
ROUNDING_KINDS = ("half", "int8")  # they read no text


@dataclass(frozen=True, kw_only=True)
class UpdateConfig:
    """How a backbone is updated, as its makers would: with no thought of the module."""

    kind: str = "finetune"
    """`finetune`, `lora` (merged into the weights), `half`, `int8`, or `merge` (of two)."""
    steps: int = 1000
    """Optimizer steps of an update."""
    batch: int = 4
    """Windows per step."""
    window: int = 256
    """Tokens per window."""
    learning_rate: float = 1e-4
    """Peak rate of AdamW: a twentieth of what backbones are trained with."""
    weight_decay: float = 0.01
    """Decay of matrices; vectors are not decayed."""
    clip: float = 1.0
    """Largest gradient norm."""
    stability: float = 0.0
    """Weight of the stability term: the squared distance of z to that of the original backbone."""
    train_interface: bool = False
    """Whether the reading side of the interface follows the stability term too."""
    cache_bytes: int = 256 * 1024**2
    """Memory for the z of the original backbone; what does not fit is computed each time."""
    lora_rank: int = 8
    """Rank of the adapters of the kind `lora`."""
    seed: int = 0
    """Seed of the order of the windows and of new weights."""

    def __post_init__(self) -> None:
        if self.kind not in UPDATE_KINDS:
            raise InputError("`kind`", expected=f"one of {UPDATE_KINDS}", found=self.kind)
        at_least(self, 1, "steps", "batch", "lora_rank")
        at_least(self, 2, "window")
        above(self, 0, "learning_rate")
        at_least(self, 0, "stability")
        if self.stability > 0 and self.kind in ROUNDING_KINDS:
            raise InputError(
                f"an update of the kind {self.kind} takes no steps; a stability term needs some",
                expected="`stability=0`",
                found=self.stability,
            )
        if self.train_interface and self.kind == "merge":
            raise InputError(
                "two fine-tunes would train one interface", hint="`train_interface=False`"
            )
        if self.train_interface and self.stability == 0:
            raise InputError(
                "without a stability term nothing trains the interface",
                expected="`train_interface` with `stability` above 0",
            )


def window_seed(window_choice: str, seed: int) -> int | None:
    """The seed that windows of a document are drawn with; None where its first ones are taken."""
    return seed if window_choice == "any" else None
