"""Reports of the verbs of BASIS: directions fitted, ranked, trained inside, and compared."""

from __future__ import annotations

from transplant.schemas.base import Finite, Interval, Object, Part, Report, Sha256


class MapType(Part):
    """The maps of one type, and the mean rank that holds a share of their energy."""

    maps: int
    width: int
    rank_90: float
    rank_99: float


class Retained(Part):
    """The text that an adapter in directions of gradients is to leave as it is."""

    corpus: str
    split: str


class FitReport(Report):
    """`basis fit`."""

    name: str
    backbone: str
    directions_of: str
    """`outputs` or `gradients`."""
    corpus: str
    split: str
    retain: Retained | None = None
    maps: int
    rows: int
    directions: int
    types: dict[str, MapType]
    sha256: Sha256
    path: str
    seconds: float


class MapRank(Part):
    """The rank of one map."""

    name: str
    layer: int
    type: str
    rank: int
    kept: int
    """Directions that the basis has."""


class ShareKept(Part):
    """The share of the whole score that an allocation keeps."""

    exact: float
    greedy: float
    uniform: float
    chosen: float


class AllocateReport(Report):
    """`basis allocate`."""

    name: str
    backbone: str
    score: str
    budget: int
    parameters: int
    ranks: dict[str, int]
    maps: list[MapRank]
    share_kept: ShareKept
    sha256: Sha256
    path: str
    seconds: float
    files: list[str] | None = None


class BothPPL(Part):
    """Perplexities of a backbone and of what was made of it."""

    raw: Finite
    adapted: Finite


class LossChange(Part):
    """Losses in nats per token, and their paired difference."""

    raw: float
    adapted: float
    difference: float
    interval: Interval
    ppl: BothPPL


class AdaptReport(Report):
    """`basis adapt`."""

    name: str
    basis: str
    domain: str
    corpus: str
    split: str
    maps: int
    parameters: int
    losses: dict[str, LossChange]
    """By text: `domain`, and `other` with `--forget`."""
    logits_at_step_0: float
    seconds: float
    history: list[tuple[int, float]]
    best_step: int
    seed: int
    peft: str | None = None
    merged: str | None = None
    sha256: Sha256
    path: str


class CompressParameters(Part):
    """Parameters of the maps, of what is kept of them, and of the model."""

    maps: int
    kept: int
    model: int


class CompressReport(Report):
    """`basis adapt --compress`."""

    basis: str
    backbone: str
    corpus: str
    split: str
    ratio: float
    score: str
    maps: int
    cut: int
    ranks: dict[str, int]
    parameters: CompressParameters
    loss: LossChange
    out: str
    seconds: float


class CompareRun(Part):
    """What all cells of a comparison have in common."""

    backbone: Sha256
    dtype: str | None = None
    """What the backbone computed in; files of before do not say."""
    split: str
    other: str
    retain: str
    layers: str
    rank: int
    recipe: Object
    eval_tokens: int


class BothTexts(Part):
    """Nats per token on the domain's text and on the other."""

    domain: float
    other: float


class BasisMinusIt(Part):
    """The loss of BASIS minus that of a method, in nats per token."""

    mean: float
    interval: Interval


class Method(Part):
    """One method at its best rate; only `unavailable` where it cannot run."""

    method: str
    unavailable: str | None = None
    rate: float | None = None
    trainable: int | None = None
    seeds: list[int] | None = None
    failed_seeds: dict[str, str] | None = None
    """Seeds that could not be trained at that rate, and why; no number is of them."""
    calibration: float | None = None
    domain: float | None = None
    domain_by_seed: list[float] | None = None
    forgetting: float | None = None
    forgetting_by_seed: list[float] | None = None
    rates: dict[str, float | None] | None = None
    """Calibration loss by rate, where it trained."""
    prepare_seconds: float | None = None
    train_seconds: float | None = None
    peak_bytes: int | None = None
    basis_minus_it: BasisMinusIt | None = None


class CompareReport(Report):
    """`basis compare`."""

    backbone: str
    domain: str
    corpus: str
    other: str
    retain: str
    """The text that BASIS and CorDA (kpm) were to keep."""
    budget: int
    like: str
    maps: int
    run: CompareRun
    seeds: list[int]
    raw: BothTexts
    rows: list[Method]
    best_peer: str | None = None
    verdict: str | None = None
    files: list[str]


Adapt = AdaptReport | CompressReport
