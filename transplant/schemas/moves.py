"""Reports of the verbs that train a module, move it and calibrate it."""

from __future__ import annotations

from pydantic import Field

from transplant.calibration.bridge import BridgeQuality
from transplant.calibration.students.learned import TriedStudent
from transplant.calibration.tuning import Tried
from transplant.schemas.ablations import CurveReport
from transplant.schemas.base import Finite, Made, Object, Part, Report, Sha256
from transplant.schemas.shares import (
    NIB,
    Evidence,
    General,
    Nats,
    NoNIB,
    PairingText,
    Sources,
)
from transplant.schemas.told import Whole
from transplant.workflows.demo import DemoPlan


class TrainResult(Part):
    """A trained module; perplexities and nats on held-out text."""

    name: str
    backbone: str
    d_abi: int
    module_sha256: Sha256
    trained_parameters: int
    ppl: dict[str, Finite]
    sources: Sources | None = None
    difference: dict[str, Nats]
    steps: int
    best_step: int
    hidden_states: str
    matmul_type: str
    seed: int
    split: str
    made: Made
    seconds: float


class TrainReport(Report, TrainResult):
    """`train`."""


class Sides(Part):
    """A hash on either side of a move."""

    donor: Sha256
    target: Sha256


class AnyMove(Evidence):
    """What is said of every move."""

    donor: str
    target: str
    name: str
    seed: int
    gain: float
    tried: list[Whole[Tried]]
    token_coverage: float
    split: str
    pairing_text: PairingText | None = None
    general: General | None = None
    made: Made
    seconds: dict[str, float]
    """By step."""


class Move(AnyMove):
    """A moved module, with its evidence."""

    nib: NIB | NoNIB
    module_sha256: Sides
    bridge: Whole[BridgeQuality]


class MoveReport(Report, Move):
    """`transfer --module`."""


class Stored(Part):
    """As what a student was stored."""

    kind: str
    sha256: Sha256


class NativeModel(Part):
    """What a ceiling is."""

    name: str
    kind: str
    """`module`, or `adapter`: a LoRA."""


class TunedReport(Report, AnyMove):
    """`transfer` of a tuned copy or of several teachers."""

    tuned: str
    kind: str
    student: str
    native_model: NativeModel | None = None
    """What `native` is; not there without a ceiling."""
    tuned_sha256: Sha256
    left_out: list[str]
    """Students that `auto` did not try."""
    students: list[Whole[TriedStudent]]
    pairs: int
    paired_share: float
    stored: Stored


class CalibrateReport(Report):
    """`calibrate`."""

    name: str
    donor: str
    target: str
    objective: str
    needs: list[str]
    gain: float
    module_sha256: Sides
    seed: int
    split: str
    bridge: str | None = None
    """Where it came from; of what reads pairs."""
    tried: list[Whole[Tried]] | None = None
    shared_tokens: int | None = None
    token_coverage: float | None = None
    pairing_text: PairingText | None = None
    general: General | None = None
    learned: Object | None = None
    """The objective's own facts, as the manifest holds them."""
    sources: Sources | None = None
    seconds: dict[str, float]


class BridgeReport(Report):
    """`bridge-align --module`."""

    name: str
    donor: str
    target: str
    method: str
    taps: list[int]
    pairing_split: str
    seed: int
    r2: float
    cosine_before: float
    cosine_after: float
    pairs: int
    held_out_pairs: int
    paired_share: float
    ridge: float | None
    seconds: dict[str, float]
    path: str


class BetweenReport(Report):
    """`bridge-align --between`."""

    name: str
    from_: str = Field(alias="from")
    to: str
    method: str
    pairs: int
    held_out_pairs: int
    r2: float
    cosine_before: float
    cosine_after: float
    mse_before: float
    mse_after: float
    corpus: str | None = None
    split: str | None = None
    corpus_fingerprint: str | None = None
    """Of the text of two files."""
    token_map: str | None = None
    to_weights: str
    to_config: str | None
    made: Made
    path: str


class DemoMove(Move):
    """A move of the demo."""

    native_gains: float
    """In nats per token, over the raw backbone."""


class DemoReport(Report):
    """`demo`."""

    trained: dict[str, TrainResult]
    moves: list[DemoMove]
    plan: Whole[DemoPlan]
    page: str
    registry: str
    seconds: float


Transfer = MoveReport | TunedReport | CurveReport
Align = BridgeReport | BetweenReport
