"""Reports on minimal pairs and on uncertainty: `cfgen`, `cfeval`, `uq`, `route-sim`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from transplant.evaluation.paired_accuracy import McNemar
from transplant.schemas.base import Interval, Made, Part, Report, Sha256
from transplant.schemas.shares import Mean, Nats
from transplant.schemas.told import Whole


class DrawnPair(Part):
    """A pair that was drawn."""

    good: str
    bad: str


class CfgenReport(Report):
    """`cfgen`."""

    task: str
    pairs: int
    possible: int
    fields: dict[str, int]
    labels: dict[str, int]
    example: DrawnPair
    out: str
    sha256: Sha256
    made: Made


class PairsInterval(Part):
    """Intervals over couples of pairs."""

    accuracy: Interval
    difference: Interval | None = None


class PairsRow(Part):
    """Some minimal pairs; the last three with `--baseline`."""

    pairs: int
    accuracy: float
    interval: PairsInterval
    baseline_accuracy: float | None = None
    difference: float | None = None
    mcnemar: Whole[McNemar] | None = None


class PairsData(Part):
    """The file of pairs."""

    source: str
    sha256: Sha256
    identical: int
    """Pairs of identical texts, which were left out."""
    first_identical: list[str]
    per_paradigm: int | None


class CfevalReport(Report, PairsRow):
    """`cfeval`."""

    model: str
    baseline: str | None = None
    ties: int
    fields_: dict[str, PairsRow] = Field(alias="fields")
    paradigms: dict[str, PairsRow]
    start: str | None
    space: bool
    data: PairsData
    made: Made


class ReliabilityBin(Part):
    """Predictions of one confidence, from its lower edge."""

    from_: float = Field(alias="from")
    count: int
    confidence: float
    accuracy: float


class EceInterval(Part):
    """Over documents."""

    ece: Interval


class Calibration(Part):
    """Expected calibration error, and the bins that it is summed over."""

    ece: float
    interval: EceInterval
    worst: float
    bins: list[ReliabilityBin]


class Auroc(Part):
    """How well errors are told by each uncertainty; null without an error or a right token."""

    entropy: float | None
    predictive_entropy: float | None
    mutual_information: float | None


class UqReport(Report):
    """`uq`; nats."""

    model: str
    baseline: str | None = None
    baseline_nats: float | None = None
    data: str
    split: str
    method: str
    members: int
    varied: str
    tokens: int
    documents: int
    nats: Mean
    accuracy: Mean
    entropy: Mean
    predictive_entropy: Mean
    mutual_information: Mean
    mean_nats: Mean
    calibration: Calibration
    calibration_of_mean: Calibration
    error_auroc: Auroc
    made: Made
    files: list[str]


class RouteNats(Part):
    """Nats per token; `kept` of the tokens that the model keeps."""

    model: float
    baseline: float
    routed: float
    kept: float | None


class RouteAreas(Part):
    """Areas under the curves less those of a random choice."""

    selective: Nats
    routed: Nats


class RoutePoint(Part):
    """A point of the curve."""

    tau: float | None
    coverage: float
    selective: float
    routed: float


class RouteReport(Report):
    """`route-sim`."""

    model: str
    baseline: str
    metrics: str
    by: str
    tau: float | None
    chosen: bool
    budget: float
    coverage: float
    nats: RouteNats
    regress: Nats
    judged: dict[Literal["tokens", "documents"], int]
    areas: RouteAreas
    curve: list[RoutePoint]
    tokens: int
    documents: int
    made: Made | None = None
    files: list[str] | None = None
