"""Reports of the verbs that measure hosted models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from transplant.evaluation.paired_accuracy import McNemar
from transplant.evaluation.power import Power
from transplant.evidence.report.runs import LeftOut
from transplant.schemas.base import Finite, Interval, Made, Part, Report
from transplant.schemas.shares import NIB, Mean, NIBSources
from transplant.schemas.told import Whole


class NIBPower(Part):
    """What the chunks of a NIB can tell, from more of them."""

    margin: float
    power: float
    measured: int
    chunks: int
    level: float
    documents: int
    criteria: dict[Literal["top5", "top1", "js", "entropy"], Whole[Power]]
    per_chunk: dict[str, list[float]]


class NIBReport(Report, NIB):
    """`nib`."""

    anchor: str
    candidate: str
    kind: str | None = None
    """Of the candidate, as `list` tells it; null where it is inside a core or no artifact."""
    data: str
    split: str
    made: Made
    sources: NIBSources | None = None
    power: NIBPower | None = None


class Measure(Part):
    """A number with its interval; null where it was not measured, and why."""

    value: float | None
    interval: Interval | None
    why: str | None = None


class GateResult(Measure):
    """A gate, and what was measured."""

    metric: str
    line: int
    asked: str
    passed: bool = Field(alias="pass")


class CheckedText(Part):
    """A text that two models were compared on."""

    source: str
    split: str
    tokens: int
    documents: int
    baseline_perplexity: Finite
    baseline_ece: float


class CheckedPairs(Part):
    """Minimal pairs that two models were compared on."""

    pairs: int
    baseline_accuracy: float
    mcnemar: Whole[McNemar]
    ties: int


class ValidateReport(Report):
    """`validate`."""

    model: str
    kind: str | None = None
    """Of the model, as `list` tells it; null where it is inside a core or no artifact."""
    baseline: str
    suite: str
    passed: bool = Field(alias="pass")
    failed: list[str]
    gates: list[GateResult]
    metrics: dict[str, Measure]
    """By the names that gates use."""
    texts: dict[str, CheckedText]
    pairs: dict[str, CheckedPairs]
    seconds: float
    made: Made
    files: list[str] | None = None


class DocumentCost(Part):
    """One document."""

    source: str
    tokens: int
    bytes: int
    nats: float
    ppl: Finite


class Cost(Part):
    """What predicting a text costs one model."""

    model: str
    tokens: int
    bytes: int
    documents: int
    ppl: Mean
    nats_per_token: Mean
    bits_per_byte: Mean
    nats_per_document: Mean
    against: str | None = None
    more_bits_per_byte: Mean | None = None
    per_document: list[DocumentCost]


class PerplexityReport(Report):
    """`perplexity`."""

    data: str
    split: str
    whole: bool
    window: int
    models: list[Cost]
    made: Made


class GenerateSettings(Part):
    """How text was drawn; what is left out is the model's own."""

    max_new_tokens: int
    do_sample: bool
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    chat: bool
    seed: int


class Written(Part):
    """What one model wrote."""

    model: str
    text: str
    tokens: int
    seconds: float


class WrittenBeside(Part):
    """What models wrote on one prompt, side by side."""

    prompt: str
    raw: Written
    native: Written | None = None
    moved: Written | None = None


class GenerateReport(Report):
    """`generate`."""

    model: str
    systems: dict[str, str]
    settings: GenerateSettings
    texts: list[WrittenBeside]
    made: Made


class Score(Part):
    """A metric of lm-eval."""

    value: float
    stderr: float | None


class TaskMetric(Part):
    """A metric of a task, by role."""

    higher_is_better: bool | None
    raw: Score
    native: Score | None = None
    moved: Score | None = None


class Task(Part):
    """A task of lm-eval."""

    questions: int | None
    shots: int | None
    version: str | float | None
    metrics: dict[str, TaskMetric]


class EvalSettings(Part):
    """How lm-eval was run."""

    limit: int | None
    shots: int | None
    batch: int
    seed: int
    lm_eval: str


class EvalReport(Report):
    """`eval`."""

    model: str
    systems: dict[str, str]
    tasks: dict[str, Task]
    settings: EvalSettings
    made: Made


class RunRead(Part):
    """A run that is reported on."""

    given: str
    kind: str
    of: str


class ReportReport(Report):
    """`report`."""

    file: str
    bytes: int
    headline: str
    runs: list[RunRead]
    sections: list[str]
    missing: list[str]
    left_out: list[Whole[LeftOut]]
    """Files of folders that could not be read."""


class StudioReport(Report):
    """`studio`, once it listens."""

    url: str
    registry: str
    runs: list[str]
    token: bool
    """Whether the address has one."""
