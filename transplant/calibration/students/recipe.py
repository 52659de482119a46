"""How the student `lora` learns; in a file of its own: reading a default must not load torch."""

from __future__ import annotations

from dataclasses import dataclass

from transplant.validation import above, at_least


@dataclass(frozen=True, kw_only=True)
class LoraRecipe:
    """The shape of a LoRA that a donor teaches, and its course."""

    rank: int = 16
    """Of the pair on each map."""
    alpha: float = 32.0
    """alpha / rank is what B A is multiplied with."""
    targets: tuple[str, ...] = ()
    """Ends of names of linear maps, as `q_proj`; none means all of them but the head."""
    steps: int = 300
    """Optimizer steps at most."""
    batch: int = 8
    """Excerpts of the pairing text per step."""
    rates: tuple[float, ...] = (5e-4, 1.5e-3, 5e-3)
    """Peak rates of Adam that are tried; the calibration split chooses."""
    trial_steps: int = 40
    """Steps of each rate before that choice; the best goes on from there."""
    clip: float = 1.0
    """Largest gradient norm."""
    head_type: str = "auto"
    """In which the head is multiplied where there is a gradient, as `TrainConfig.matmul_type`."""
    evaluate_every: int = 20
    """Steps between looks at the calibration split."""
    patience: int = 4
    """Looks without improvement after which learning stops."""

    def __post_init__(self) -> None:
        at_least(self, 1, "rank", "steps", "batch", "trial_steps", "evaluate_every", "patience")
        above(self, 0, "alpha", "rates", "clip")
