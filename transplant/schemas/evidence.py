"""Reports of the verbs that train, move and measure."""

from __future__ import annotations

from pydantic import Field

from transplant.schemas.base import (
    Interval,
    Made,
    Object,
    OpenReport,
    Part,
    Report,
    Sha256,
)


class TrainReport(Report):
    """`train`; perplexities and nats on held-out text."""

    name: str
    backbone: str
    d_abi: int
    module_sha256: Sha256
    trained_parameters: int
    ppl: dict[str, float]
    sources: Object | None = None
    difference: Object
    steps: int
    best_step: int
    hidden_states: str
    matmul_type: str
    seed: int
    split: str
    made: Made
    seconds: float


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


class NIBReport(Report):
    """`nib`."""

    anchor: str
    candidate: str
    top5: float
    top1: float
    js: float
    entropy: float
    passed: bool = Field(alias="pass")
    verdict: str
    verdicts: Verdicts
    interval: Intervals
    thresholds: Criteria
    seeds: list[int]
    chunks: int
    positions: int
    data: str
    split: str
    made: Made
    sources: Object | None = None
    power: Object | None = None


class TransferReport(OpenReport):
    """`transfer`: of a module, of a tuned copy, of several teachers, or a curve."""

    made: Made


class JudgedReport(OpenReport):
    """A verb that judges, and whose exit code is 3 where it does not pass."""

    passed: bool = Field(alias="pass")


class ValidateReport(Report):
    """`validate`."""

    model: str
    baseline: str
    suite: str
    passed: bool = Field(alias="pass")
    failed: list[str]
    gates: list[Object]
    metrics: dict[str, Object]
    texts: Object
    pairs: Object
    seconds: float
    made: Made


class PerplexityReport(Report):
    """`perplexity`."""

    data: str
    split: str
    whole: bool
    window: int
    models: list[Object]
    made: Made


class GenerateReport(Report):
    """`generate`."""

    model: str
    systems: dict[str, str]
    settings: Object
    texts: list[Object]
    made: Made
