"""The jobs of BASIS: a fit, an allocation, an adapter, a cut, a comparison; no torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from transplant.basis.config import AdaptConfig, AllocateConfig, FitConfig
from transplant.errors import InputError
from transplant.validation import Count, Held, check_bounds

STEP = 8
"""Ranks of a backbone that is cut are multiples of this."""


@dataclass(frozen=True, kw_only=True)
class FitJob:
    """What is fitted, to what, under which name."""

    backbone: str
    """The backbone: a name of the library, a folder or a hub id."""
    data: str
    """The calibration text; its training split is read."""
    name: str
    """Of the basis: it is stored as NAME@<backbone>."""
    retain: str | None = None
    """Of `directions` gradients: the text that an adapter is to leave as it is; None for prose."""
    config: FitConfig = field(default_factory=FitConfig)
    """The recipe."""
    layer_at_a_time: bool = False
    """One layer in memory, weights and boundary activations of the others on the disk, and what
    passes between them backward for `gradients`; such a run goes on, after an interruption, at the
    layer that was not done."""


@dataclass(frozen=True, kw_only=True)
class AllocateJob:
    """Which basis is given ranks, and by what."""

    name: str
    """The basis, as `code@ref-gpt2`."""
    config: AllocateConfig
    """The budget and the recipe."""
    data: str | None = None
    """What fisher reads; None for the text that the basis was fitted to."""
    layer_at_a_time: bool = False
    """One layer in memory for fisher, weights, activations and gradients of the others on the disk;
    such a run goes on, after an interruption, where it was."""
    out: Path | None = None
    """A folder for ranks.json, ranks.png and ranks.html."""


@dataclass(frozen=True, kw_only=True)
class AdaptJob:
    """What is trained inside which basis, and where it goes."""

    basis: str
    """The basis, as `code@ref-gpt2`; it has ranks."""
    domain: str
    """What the adapter is about; the text of that name where none is given."""
    data: str | None = None
    """The domain's text."""
    name: str | None = None
    """Hosted as `<name>@<backbone>`; by default the domain."""
    forget: str | None = "prose"
    """Other text, on which forgetting is measured; None for none."""
    eval_tokens: Held = 40_000
    """Held-out tokens of each."""
    peft: Path | None = None
    """A folder to be, for PEFT."""
    merge: str | None = None
    """The name of a new backbone with the adapter in its weights."""
    config: AdaptConfig = field(default_factory=AdaptConfig)
    """The recipe."""

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, kw_only=True)
class CompressJob:
    """Which backbone is cut, how far, and where it goes."""

    basis: str
    """The basis, as `code@ref-gpt2`."""
    ratio: float
    """The share of the parameters of its maps that is kept, 0 to 1."""
    out: Path
    """The folder to be; it must not be there."""
    data: str | None = None
    """What it is evaluated on; by default the text of the fit, held out."""
    eval_tokens: Held = 40_000
    """Held-out tokens."""
    step: int = STEP
    """Ranks are multiples of this."""

    def __post_init__(self) -> None:
        check_bounds(self)
        if not 0 < self.ratio < 1:
            raise InputError("`compress`", expected="a share between 0 and 1", found=self.ratio)


@dataclass(frozen=True, kw_only=True)
class CompareJob:
    """What is compared, on what, at which budget."""

    backbone: str
    """The backbone: a name of the library, a folder or a hub id."""
    domain: str
    """What it is adapted to; the text of that name where none is given."""
    out: Path
    """The folder of the cells and the report; what is there already is not run again."""
    data: str | None = None
    """The domain's text."""
    forget: str = "prose"
    """Other text, on which forgetting is measured."""
    retain: str | None = None
    """What BASIS and CorDA (kpm) are to keep, of its training split; None for that of `forget`."""
    layers: str = "all"
    """The maps that are adapted: all, ends of names as q_proj,v_proj, or a regular expression."""
    rank: Count = 8
    """Of the LoRA whose trainable parameters are the budget."""
    methods: tuple[str, ...] = ()
    """Some of the methods, as basis,lora,eva; none means all of them."""
    seeds: Count = 3
    """Runs at the chosen rate; the first one searches."""
    eval_tokens: Held = 20_000
    """Held-out tokens of each text."""
    config: AdaptConfig = field(default_factory=AdaptConfig)
    """The recipe of every method; its rate and seed are not used."""

    def __post_init__(self) -> None:
        check_bounds(self)
