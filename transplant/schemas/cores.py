"""Reports on cores and reference backbones: training, comparison, pastes and what verifies them."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from transplant.paste.report import PastedTensor
from transplant.schemas.base import Finite, Interval, Made, Object, Part, Report, Sha256
from transplant.schemas.shares import Judged
from transplant.schemas.told import Whole


class CoreTrainReport(Report):
    """`train-core`."""

    name: str
    kind: str
    parameters: int
    train_loss: float
    ppl: Finite
    train_seconds: float
    tokens: int
    split: str
    path: str
    seconds: float


class ReferenceReport(Report):
    """`train-reference`."""

    name: str
    parameters: int
    tokens: int
    cycles: list[tuple[int, float]]
    """Tokens and learning rate of each."""
    train_loss: float
    ppl: dict[str, Finite]
    split: str
    seconds: float


class BothParameters(Part):
    """Of a core and of the plain transformer beside it."""

    core: int
    baseline: int


class BothNumbers(Part):
    """Of a core and of the plain transformer beside it."""

    core: float
    baseline: float


class CorePair(Part):
    """A core and a plain transformer of one recipe."""

    core: str
    baseline: str
    seed: int
    parameters: BothParameters
    ppl: BothNumbers
    difference_percent: float
    interval: Interval
    """Of that."""
    train_seconds: BothNumbers
    eval: Judged
    recipe: Object
    split: str


class OverSeeds(Part):
    """The mean over seeds with Student's interval."""

    difference_percent: float
    interval: Interval
    contains_zero: bool


class CompareReport(Report):
    """`compare`."""

    pairs: list[CorePair]
    mean: OverSeeds | None = None
    made: Made


class CoreRow(Part):
    """A named size of cores."""

    name: str
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int
    d_abi: int
    vocab: int
    parameters: int
    in_registry: bool


class CoresReport(Report):
    """`cores`."""

    cores: list[CoreRow]


class PlannedPaste(Part):
    """A module that would be pasted."""

    form: str
    sha256: Sha256
    tensors: int
    bytes: int
    replaces: bool
    router_tensors: list[str]


class PastePlanReport(Report):
    """`paste --dry-run`."""

    source: str
    target: str
    d_abi: int
    dtype: str
    tensors: int
    bytes: int
    modules: dict[str, PlannedPaste]


class PastedModule(Part):
    """A module on both sides."""

    name: str
    form: str
    tensors: list[Whole[PastedTensor]]
    sha256_source: Sha256
    sha256_target: Sha256


class PasteReport(Report):
    """`paste`."""

    out: Path
    modules: list[PastedModule]
    router_tensors: list[str]
    skipped: list[str]
    bytes_copied: int
    seconds: float
    identical: bool
    from_: str = Field(alias="from")
    to: str


class Body(Part):
    """All tensors of a core against its manifest."""

    tensors: int
    differs: str | None
    control: str | None
    passed: bool = Field(alias="pass")


class PasteCheck(Part):
    """One property of a paste."""

    name: str
    identical: bool
    control: str | None
    """A change that the check sees."""
    verdict: str


class VerifiedModule(Part):
    """All checks of a module."""

    module: str
    tensors: int
    checks: list[PasteCheck]
    passed: bool = Field(alias="pass")


class VerifyPasteReport(Report):
    """`verify paste`."""

    from_: str = Field(alias="from")
    to: str
    passed: bool = Field(alias="pass")
    body: Body | None
    modules: list[VerifiedModule]


class ComparedNumber(Part):
    """A number, recorded and recomputed."""

    name: str
    recorded: float | None
    recomputed: float | None
    tolerance: float
    agrees: bool


class VerifiedHashes(Part):
    """Hashes of a module on both sides, recorded and found."""

    recorded: dict[str, str]
    found: dict[str, Sha256]
    agrees: bool


class FlippedControl(Part):
    """The moved module with one tensor's sign flipped: it must differ."""

    tokens: int
    ppl: dict[str, Finite]
    differs: bool


class SplitFound(Part):
    """The fingerprint of the text, recorded and found."""

    recorded: str
    found: str
    same: bool


class VerifiedMove(Part):
    """One recorded move, recomputed."""

    donor: str
    name: str
    verdict: str
    numbers: list[ComparedNumber]
    no_ceiling: str | None = None
    module_sha256: VerifiedHashes
    control: FlippedControl
    split: SplitFound
    not_recomputed: list[str]
    versions: dict[str, str | None] | None


class VerifyResultsReport(Report):
    """`verify results`."""

    record: str
    command: str | None
    passed: bool = Field(alias="pass")
    verdict: str
    moves: list[VerifiedMove]
    made: Made
    seconds: float


Paste = PasteReport | PastePlanReport
Verify = VerifyResultsReport | VerifyPasteReport
