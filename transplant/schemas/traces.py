"""Reports on the inside of models: `trace` and `analyze`."""

from __future__ import annotations

from typing import Literal

from transplant.analysis.spectra import Spectrum
from transplant.schemas.base import Bounds, Interval, Made, Part, Report, Sha256
from transplant.schemas.told import Whole


class TraceHead(Report):
    """What every trace says."""

    model: str
    backbone: str
    family: str
    weights_sha256: Sha256
    blocks: int
    heads: int
    asked: str
    intervention: str
    metric: str
    unit: str
    sign: str
    seconds: float
    made: Made
    files: list[str] | None = None


class Target(Part):
    """A part of a model."""

    target: str
    kind: str
    layer: int | None
    head: int | None
    effect: float


class Ablated(Target):
    """What a part is worth."""

    interval: Interval | None
    measured: bool
    """Whether `effect` is no estimate."""
    estimate: float | None = None


class Prefilter(Part):
    """How many parts gradients left to measure, and how well they ranked a sample."""

    measured: int
    sample: int
    agreement: float | None


class AblationTrace(TraceHead):
    """`trace` on text."""

    mode: Literal["ablation"]
    data: str
    split: str
    documents: int
    tokens: int
    predicted: int
    passes: int
    prefilter: Prefilter | None = None
    targets: list[Ablated]


class Share(Part):
    """A share of the whole effect."""

    share: float
    interval: Bounds


class Patched(Target):
    """What is lost with the corrupted value, and won with the clean one."""

    noising: float
    noising_share: Share | None
    denoising: float
    denoising_share: Share | None


class PatchingTrace(TraceHead):
    """`trace --pairs`."""

    mode: Literal["patching"]
    pairs: str
    pairs_sha256: Sha256
    count: int
    left_out: int
    total: float
    answers: list[tuple[str, str]]
    targets: list[Patched]


class HeadScores(Part):
    """How much of a head's attention is in each role."""

    previous: float
    duplicate: float
    induction: float


class HeadRow(Part):
    """The role of a head, and the spectra of what it compares and writes."""

    layer: int
    head: int
    role: str | None
    interval: Interval | None
    scores: HeadScores
    chance: HeadScores
    compares: Whole[Spectrum]
    writes: Whole[Spectrum]


class LikeLayers(Part):
    """Linear CKA of two layers, and of rows that do not belong together."""

    ours: int
    theirs: int
    cka: float
    shuffled: float


class Similarity(Part):
    """Layers of two backbones on the same held-out text."""

    against: str
    against_sha256: Sha256
    rows: int
    documents: int
    pairs: list[LikeLayers]


class AnalyzeReport(Report):
    """`analyze`."""

    catalog: int
    bank: str
    backbone: str
    weights_sha256: Sha256
    activations: str
    corpus: str
    corpus_fingerprint: str
    pieces: dict[str, dict[str, Whole[Spectrum]]]
    taps: dict[str, Whole[Spectrum]]
    heads: list[HeadRow]
    similarity: Similarity | None = None
    seconds: float
    made: Made
    file: str | None = None


Trace = AblationTrace | PatchingTrace
