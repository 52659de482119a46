"""Parts that several reports have: differences, the NIB, other sources, evidence with controls."""

from __future__ import annotations

from pydantic import Field

from transplant.schemas.base import Bounds, Finite, Interval, Part


class Nats(Part):
    """A difference in nats per token; above 0 where what is named is worse."""

    nats: float
    interval: Interval


class Mean(Part):
    """A mean over tokens, bytes or documents."""

    mean: float
    interval: Interval


class Judged(Part):
    """What a result was judged on."""

    documents: int
    tokens: int


class Criteria(Part):
    """A number for each criterion of the benchmark; js and entropy in nats."""

    top5: float
    top1: float
    js: float
    entropy: float


class Verdicts(Part):
    """A verdict for each criterion."""

    top5: str
    top1: str
    js: str
    entropy: str


class Intervals(Part):
    """An interval of 95 % for each criterion."""

    top5: Interval
    top1: Interval
    js: Interval
    entropy: Interval


class NIB(Criteria):
    """The Non-Inferiority Benchmark, as it was measured."""

    passed: bool = Field(alias="pass")
    verdict: str
    """`pass`, `pass (point)` or `fail`: the worst of four."""
    verdicts: Verdicts
    interval: Intervals
    thresholds: Criteria
    seeds: list[int]
    chunks: int
    positions: int


class NoNIB(Part):
    """Why there is no NIB."""

    passed: None = Field(alias="pass")
    why: str


class Source(Part):
    """Systems on one source of a domain."""

    documents: int
    tokens: int
    bytes: int
    ppl: dict[str, Finite]
    """By system."""
    bits_per_byte: dict[str, float]
    gain: dict[str, Nats]
    """By how many nats per token each system is better than the raw backbone."""
    recovered: dict[str, float | None]
    no_ceiling: str | None = None


class OtherSource(Source):
    """A source that nothing was trained on."""

    source: str
    dropped: int
    """Documents that were in the training text, too."""


class Sources(Part):
    """The source that was trained on, and others, apart."""

    in_source: Source
    out_of_source: dict[str, OtherSource]


class NIBHere(Part):
    """The NIB on the source that was trained on."""

    nib: NIB


class NIBElsewhere(Part):
    """The NIB on a source that nothing was trained on."""

    source: str
    dropped: int
    documents: int
    nib: NIB | NoNIB


class NIBSources(Part):
    """The NIB on all sources."""

    in_source: NIBHere
    out_of_source: dict[str, NIBElsewhere]


class SharesInterval(Part):
    """Intervals of shares; null where there is no share."""

    recovered: dict[str, Bounds | None]
    donor_attributable: Bounds | None
    module_attributable: Bounds | None


class DonorMix(Part):
    """How much of a donor's logits was added."""

    donor_word: float
    """The weight of log p_donor - log p_target."""
    gain: float
    change: str | None = None
    """How changes of logits were carried to the target's vocabulary."""


class CeilingShare(Part):
    """What was recovered, and its interval."""

    recovered: float | None
    interval: Bounds | None


class CeilingRow(DonorMix):
    """Donor and target side by side."""

    recovered: float | None
    interval: Bounds | None
    ppl: Finite


class Ceiling(Part):
    """The ceiling of a move: donor and target side by side (proxy tuning)."""

    change: CeilingRow
    change_and_raw: CeilingRow
    candidate: CeilingShare
    of: str
    """Which of the rows the move is held against."""
    vocabulary_loses: float | None
    alignment_loses: float | None
    paired_share: float
    no_ceiling: str | None = None


class General(Part):
    """How much of a donor's change is general."""

    module: str
    less: float
    """The weight with which the general change was taken off."""
    variance: float
    slope: float
    nats: float | None
    interval: Bounds | None


class PairingText(Part):
    """Text that the donor wrote."""

    synthetic: bool
    written: int
    """Documents."""
    kept: int
    guidance: float | None = None
    """The factor on what the donor learned while it wrote, where it is not 1."""
    donor_gain: float | None = None
    """log p1 - log p0 of the kept ones by the donor itself, in nats per token."""
    donor_gain_of_all: float | None = None
    text_free: bool


class Evidence(Part):
    """A candidate beside its ceiling and its controls, on held-out documents."""

    ppl: dict[str, Finite]
    """By system: raw, native, candidate and the controls."""
    recovered: dict[str, float | None]
    donor_attributable: float | None
    module_attributable: float | None
    best_donor_free: str
    best_module_free: str | None
    difference: dict[str, Nats]
    """By how many nats per token each other system is worse than the candidate."""
    interval: SharesInterval
    eval: Judged
    no_ceiling: str | None = None
    """Why no share is a number."""
    sources: Sources | None = None
    ceiling: Ceiling | None = None
