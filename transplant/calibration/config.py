"""How a module is moved; in a file of its own: reading a default must not load torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from transplant.calibration.changes.spec import AUTO, BEGINS_WITH, CHANGES
from transplant.errors import InputError
from transplant.validation import Bounds, Count, above, at_least, at_most, check_bounds

METHODS = ("ridge", "procrustes")
LEFT_OUT, NOTHING, CONTINUED = "left-out", "nothing", "continued"
INSIDE = (LEFT_OUT, NOTHING, CONTINUED)
FIRST, PRODUCT = "first", "product"
LONGER = (FIRST, PRODUCT, AUTO)


@dataclass(frozen=True, kw_only=True)
class MoveConfig:
    """How the interface of the target is fitted."""

    text_chars: int = 8_000_000
    """Characters of pairing text that excerpts are cut from, at most."""
    excerpts: Count = 500
    """Excerpts to pair on: of its training split, those that look most like the domain."""
    excerpt_chars: Annotated[int, Bounds(40)] = 600
    """Characters of an excerpt: maps are fitted as far into a text as excerpts reach."""
    keep: float = 1.0
    """With pairing text that the donor writes, synthetic text: the share of it that is kept, that
    on which it gained most, by its own log p1 - log p0; more is written, as much is paired."""
    guidance: float = 1.0
    """With pairing text that the donor writes: the factor on what it learned while it writes. Above
    1 its text is more of the domain's manner, and less varied."""
    stride: Count = 3
    """Of the paired positions every so many-th is kept: neighbours say much the same."""
    held_out_excerpts: Count = 60
    """Excerpts of the calibration split on which the alignment is judged."""
    taps: tuple[int, ...] = ()
    """Layers of the target that are read, -1 for the last; none means all of them."""
    tap_norms: bool | None = None
    """Whether each tap is layer-normed; None: where there are several."""
    columns: Count = 4096
    """Columns of the taps that a fit reads, at most. Where all taps have more, the calibration
    split of the pairing text chooses among these layers, and each is read through a basis."""
    intercept: bool = True
    """Whether a linear map of the taps adds a constant. Without one, a map of the last tap alone
    is a LoRA on the head that can be merged."""
    method: str = "ridge"
    """The input map: `ridge`, or `procrustes` (a rotation of the principal directions)."""
    ridge: float = 1e-3
    """Ridge strength, relative to the mean variance of a feature."""
    stronger_ridges: tuple[float, ...] = (10.0, 100.0)
    """Factors on `ridge` for the input map, of which one is taken where the held-out excerpts are
    explained better by it; none: `ridge` as it is."""
    output_ridge: float = 1e-3
    """The same for the map through the unembeddings."""
    likely_tokens: int = 32
    """Tokens of the vocabulary on which the change of logits of one position is compared."""
    rest_tokens: int = 32
    """Tokens that stand for all others there, where the vocabulary is large (over 16,384)."""
    logit_ridge: float = 0.1
    """Ridge strength of the fit to changes of logits, relative to their mean curvature."""
    donor_words: tuple[float, ...] = (0.0, 0.3)
    """How much of what the donor's backbone itself says may be wanted beside the module's change;
    the calibration split chooses."""
    donor_word: float = 0.0
    """What was chosen."""
    changes: tuple[str, ...] = ()
    """How changes of logits may be carried to another vocabulary; the calibration split chooses.
    None: `begins-with`, or `lacking` where the target's vocabulary is large (over 16,384).
    Between vocabularies that are the same `begins-with` and `push-forward` are one."""
    change: str = BEGINS_WITH
    """What was chosen."""
    inside: str | None = None
    """What is wanted where a token of the target ends inside one of the donor's: `left-out`, the
    fits do not look there; `nothing`: the output map learns to leave such places as they are; or
    `continued`: it learns how the donor's tokens go on that begin with the bytes read since the
    donor's last boundary. None: `left-out`, or `continued` where the target's vocabulary is large,
    both read text and one donor teaches."""
    longer: str = FIRST
    """What a token of the target changes by that is longer than the donor's own: `first`, the
    factor of the first of the donor's tokens that it is made of; `product`: where the pairing text
    goes on with it, the product along all of them, else the first; `auto`: what the calibration
    split prefers of both. It is learned where changes at likely tokens are: in closed forms, and by
    gradients where the vocabulary is large."""
    shrink: float = 0.0
    """k of mass / (mass + k), the factor on a change that is carried by push-forward to tokens of
    so much probability; 0 for none."""
    less_general: float = 0.0
    """How much of the change of a module of general text in the donor, where one is named, is taken
    from the donor's change: 1 for domain minus general."""
    iterations: int = 5
    """Of the solver of that fit."""
    gains: tuple[float, ...] = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
    """Factors on the correction, of which the calibration split chooses one."""
    solve_gain: bool = False
    """Whether the best factor between these is solved for; the loss is convex in it."""
    seed: int = 0
    """Seed of the excerpts and of the random controls."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError("`method`", expected=f"one of {METHODS}", found=self.method)
        if self.inside not in (None, *INSIDE):
            raise InputError("`inside`", expected=f"one of {INSIDE}", found=self.inside)
        if self.longer not in LONGER:
            raise InputError("`longer`", expected=f"one of {LONGER}", found=self.longer)
        check_bounds(self)
        at_least(self, self.excerpt_chars, "text_chars")
        at_least(self, 2, "likely_tokens")
        at_least(self, 0, "rest_tokens")
        above(
            self,
            0,
            "ridge",
            "keep",
            "guidance",
            *(["stronger_ridges"] if self.stronger_ridges else []),
        )
        at_most(self, 1, "keep")
        at_least(self, 0, "iterations", "donor_words", "donor_word", "gains", "shrink")
        at_least(self, 0, "less_general")
        unknown = {*self.changes, self.change} - CHANGES.keys()
        if unknown:
            raise InputError(
                "`changes`", expected=f"of {', '.join(CHANGES)}", found=", ".join(sorted(unknown))
            )
        if not self.gains:
            raise InputError("`gains`", expected="one or more", found=self.gains)


@dataclass(frozen=True, kw_only=True)
class RepairConfig:
    """How an interface is solved for again after an update of its backbone."""

    tokens: int = 2_000
    """Tokens of shared text that both backbones read for a repair; twice as many brought nothing
    measurable."""
    pool: int = 64_000
    """Tokens of the text that these are chosen from, by likeness to the domain's token counts."""
    window: int = 128
    """Tokens per window."""
    ridges: tuple[float, ...] = (1e-3, 1e-2, 0.1, 1.0, 10.0)
    """Strengths that are tried, relative to the mean variance of a feature and around the old
    interface; held-out positions of the shared text choose, for either map."""
    held_out: int = 5
    """Of the windows every so many-th is held out for that choice."""
    output_ridge: float = 1e-3
    """The strength for the map through the two heads; around the identity."""
    output: bool = True
    """Whether `P_out` is solved for as well."""
    words: tuple[float, ...] = (1.0,)
    """How much of what the old backbone said may be wanted beside the old module's change; the
    domain's calibration split chooses between these, at each strength, and none of it."""
    logit_ridges: tuple[float, ...] = (1.0,)
    """Strengths of that fit to changes of logits, relative to their mean curvature."""
    likely_tokens: int = 16
    """Tokens of the vocabulary on which the change of logits of one position is compared."""
    iterations: int = 3
    """Of the solver of that fit."""
    calibration_tokens: int = 2_000
    """Tokens of the domain's calibration split that choose."""

    def __post_init__(self) -> None:
        at_least(self, 1, "tokens", "pool", "calibration_tokens")
        at_least(self, 2, "window", "held_out", "likely_tokens")
        at_least(self, 0, "iterations")
        above(self, 0, "ridges", "output_ridge", "logit_ridges")


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """How the gate of a module is fitted."""

    tokens: int = 30_000
    """Tokens that it is fitted on, of the domain's training split and of the general text's."""
    calibration_tokens: int = 12_000
    """Tokens of either calibration split, on which memory and threshold are chosen."""
    window: int = 512
    """Tokens per window."""
    memories: tuple[float, ...] = (0.0, 0.8, 0.9, 0.95, 0.98, 0.99)
    """What is tried: the weight of what one position said at the next."""
    ridge: float = 1e-3
    """Ridge strength of the classifier, relative to the mean variance of z."""
    most_worse: float = 0.01
    """How much worse the perplexity of general text may be for it, as a share."""

    def __post_init__(self) -> None:
        at_least(self, 1, "tokens", "calibration_tokens")
        at_least(self, 2, "window")
        if not self.memories or not all(0 <= memory <= 1 for memory in self.memories):
            raise InputError("`memories`", expected="0 to 1", found=self.memories)
        at_least(self, 0, "most_worse")
        above(self, 0, "ridge")
