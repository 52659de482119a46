"""The numbers that advice rests on, and nothing that was not measured or recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from transplant.advice.taps import TapPair


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A module of the donor that could be moved."""

    name: str
    """As `python@ref-gpt2`."""
    domain: str | None
    """What it is about."""
    recovered: float | None = None
    """The best that a move of it has recorded, on any target."""
    gained: float | None = None
    """Nats per token that it gains at home, as recorded."""
    moved: str | None = None
    """Its name at the target, where it has been moved there already."""
    recovered_there: float | None = None
    """What that move has recorded."""


@dataclass(frozen=True, kw_only=True)
class Routed:
    """A route to the baseline that was simulated for a module which is on the target already."""

    model: str
    """The module's name there."""
    tau: float | None
    """The entropy in nats above which the baseline's token is taken; None where all are."""
    coverage: float
    """Share of the tokens that are the module's own."""
    regress: float
    """Upper bound of the nats per token that documents lose which get worse."""
    budget: float
    """What they may lose."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Two backbones, some texts, and what was found."""

    donor: str
    """The backbone to move from."""
    target: str
    """The backbone to move to."""
    texts: tuple[str, ...]
    """What was read; pairs come from the first."""
    domain: str | None = None
    """The domain that was asked for."""
    r2: float
    """Held out: the layer that the donor's modules read, from all layers of the target."""
    cosine: float
    """The same as a mean cosine."""
    shared_cosine: float | None = None
    """Of two cores with one d_abi: mean cosine of z without a map."""
    pairs: tuple[TapPair, ...] = ()
    """Layer by layer."""
    exact_tokens: float
    """Share of the target's tokens that the donor has, byte for byte."""
    exact_text: float
    """The same of the first text, weighted by how often they occur."""
    paired: float
    """Share of the target's positions at which both end at the same character."""
    layers: int
    """Of the target; domain modules work behind the last."""
    impact: Mapping[str, float] = field(default_factory=dict)
    """Nats per token that each part of the target is worth, by its name."""
    divergence: float | None = None
    """Of the two texts that differ most, in nats; None with one text."""
    correction_cosine: float | None = None
    """Of the two candidates that differ most; None with one."""
    candidates: tuple[Candidate, ...] = ()
    """Modules of the donor."""
    traced: bool = False
    """Whether `impact` is of a trace."""
    bank: str | None = None
    """A bank of the donor's pieces that there is already, by a catalog."""
    pieces: frozenset[str] = frozenset()
    """What that bank holds, as `heads.2`."""
    similar: Mapping[int, int] = field(default_factory=dict)
    """Of layers of the target, the layer of the donor that is most alike, by the catalog."""
    roles: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Of blocks of the donor, the roles of their heads, by the catalog."""
    route: Routed | None = None
    """Of one of the candidates at the target, by a file; None where none was given."""
