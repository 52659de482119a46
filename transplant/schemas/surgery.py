"""Reports of the verbs that take parts out of backbones, put them in, and merge."""

from __future__ import annotations

from transplant.schemas.base import Finite, Part, Report, Sha256
from transplant.schemas.shares import Mean, Nats


class LogitChange(Part):
    """Largest differences of logits on a probe."""

    largest_change: float
    merged_against_attached: float | None = None


class AdaptersReport(Report):
    """`adapters`."""

    name: str
    backbone: str
    pairs: int
    modules: list[str]
    parameters: int
    ranks: list[int]
    scales: list[float]
    whole: list[str]
    """Maps that are replaced, not adapted."""
    folder: str
    config_sha256: Sha256
    weights_sha256: Sha256
    trained_on: str | None
    merged: bool
    logits: LogitChange
    sha256: Sha256
    path: str


class ExtractReport(Report):
    """`extract`."""

    name: str
    backbone: str
    sha256: Sha256
    pieces: list[str]
    sizes: dict[str, int]
    """Parameters by piece."""
    parameters: int
    path: str


class Inward(Part):
    """The fit of the bridge into a part."""

    pairs: int
    r2: float


class Reproduced(Part):
    """How well an injected part adds what the target's own adds."""

    mse: float
    baseline: float
    cosine: float
    rows: int
    r2: float


class InjectedParameters(Part):
    """Those that were trained, and those that were not."""

    bridges_and_gate: int
    donor_part: int


class GateValue(Part):
    """The gate of an injection."""

    kind: str
    mean: float


class Injected(Part):
    """A part of a donor at work in another backbone."""

    name: str
    part: str
    donor: str
    target: str
    layer: int
    start: str
    inward: Inward | None
    reproduction: Reproduced
    parameters: InjectedParameters
    gate: GateValue
    bank_sha256: Sha256
    split: str
    seconds: float
    path: str


class InjectReport(Report, Injected):
    """`inject`."""


class Match(Part):
    """What bridges add, against the target's own part."""

    mse: float
    r2: float
    cosine: float


class Matched(Part):
    """Bridges trained on a file."""

    before: Match
    after: Match
    mean_prediction_mse: float
    rows: int
    steps: int
    best_step: int
    shares: list[float]


class OnText(Part):
    """A gate trained on text."""

    steps: int
    best_step: int
    ppl: dict[str, Finite]
    change_in_nats: Mean
    gate: float


class BridgeTrainReport(Report, Injected):
    """`bridge-train`."""

    matched: Matched
    text: OnText | None


class TriedCombiner(Part):
    """A combiner that was tried."""

    calibration_nats: float
    best_step: int


class TextPPL(Part):
    """A perplexity with its interval."""

    ppl: Finite
    interval: tuple[Finite, Finite]


class Weight(Part):
    """The mean weight of a member, and the mean of its size."""

    mean: float
    size: float


class FusionGain(Part):
    """A fusion against the best single module on one text."""

    best_single: str
    nats: Nats
    change: float
    """Of the perplexity, as a share: below 0 where the fusion is better."""


class FusionGoals(Part):
    """What a fusion must reach."""

    mix_better_than_each: bool
    own_text_within_2_percent: dict[str, bool]


class FuseReport(Report):
    """`fuse`."""

    name: str
    layer: int
    members: list[str]
    combiner: str
    tried: dict[str, TriedCombiner]
    ppl: dict[str, dict[str, TextPPL]]
    """By system and text."""
    weights: dict[str, dict[str, dict[str, Weight]]]
    """By system, text and member."""
    gain: dict[str, FusionGain]
    mix_over_each: dict[str, Nats]
    goals: FusionGoals
    trained_parameters: int
    frozen_sha256: dict[str, Sha256]
    frozen_unchanged: bool
    tokens: dict[str, float]
    split: dict[str, str]
    """By text."""
    seed: int
    seconds: float
    path: str
