"""How an interface is learned; in a file of its own: reading a default must not load torch."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.errors import InputError
from transplant.training.config import WINDOW_CHOICES, check_matmul_type, window_seed
from transplant.training.schedule import SCHEDULES
from transplant.validation import above, at_least, one_of

TRAINED = ("p-out", "interface")
EVERYTHING = "interface and module"
"""Of a new module, which has no bytes to keep; no objective of a move trains it."""


@dataclass(frozen=True, kw_only=True)
class LearnConfig:
    """The recipe of one calibration by gradient steps."""

    train: str = "interface"
    """What is trained: `p-out` alone, the whole `interface`, or, of a new module, `EVERYTHING`."""
    steps: int = 200
    """Optimizer steps at most."""
    batch: int = 4
    """Per step: windows of text, or blocks of paired rows."""
    learning_rate: float = 1e-3
    """Peak rate of Adam."""
    schedule: str = "cosine"
    """Course of the rate: `cosine`, or `phases`, the four published for corr-mse."""
    clip: float = 1.0
    """Largest gradient norm."""
    head_type: str = "auto"
    """In which the head is multiplied where there is a gradient, as `TrainConfig.matmul_type`; the
    interface and the module stay in float32."""
    pull: float = 0.0
    """Factor on the squared distance from the starting interface, added to the loss."""
    donor_tokens: int = 0
    """Weight of the donor's loss beside the next tokens of a text, as a number of tokens of it: the
    shorter the text, the larger the donor's share."""
    chunks: float = 0.0
    """Weight of the loss on chunks of text between shared boundaries, where pairs are learned from:
    positions take part that pairs leave out."""
    evaluate_every: int = 25
    """Steps between looks at what is held out of the fit."""
    patience: int = 4
    """Looks without improvement after which learning stops."""
    tokens: int = 32_000
    """Tokens of the domain's training split that are read, where the objective reads them."""
    window_choice: str = "first"
    """Windows of a document that are taken before its others, as of `TrainConfig`."""
    paired_tokens: int = 0
    """Of these, as many as are paired with the donor first, too: the closed form that learning
    starts from is fitted on them beside the pairing text."""
    calibration_tokens: int = 12_000
    """Tokens of its calibration split on which early stopping is decided."""
    seed: int = 0
    """Seed of the order of the windows."""

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "batch", "tokens", "calibration_tokens")
        at_least(self, 1, "evaluate_every", "patience")
        at_least(self, 0, "paired_tokens", "donor_tokens", "pull", "chunks")
        above(self, 0, "learning_rate")
        if self.train not in (*TRAINED, EVERYTHING):
            raise InputError("`train`", expected=f"one of {TRAINED}", found=self.train)
        check_matmul_type(self.head_type, "head_type")
        one_of(self, "window_choice", WINDOW_CHOICES)
        if self.schedule not in SCHEDULES:
            raise InputError("`schedule`", expected=f"one of {[*SCHEDULES]}", found=self.schedule)

    @property
    def window_seed(self) -> int | None:
        """Draws the windows of a document; None for its first ones."""
        return window_seed(self.window_choice, self.seed)
