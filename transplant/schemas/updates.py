"""Reports on modules and updates of their backbones: `invariance`, `succession` and `gate`."""

from __future__ import annotations

from pydantic import Field

from transplant.calibration.config import GateConfig, RepairConfig
from transplant.calibration.gate_fit import TriedMemory
from transplant.calibration.repair_output import TriedOutput
from transplant.schemas.base import Bounds, Finite, Made, Part, Report, Sha256
from transplant.schemas.told import Whole
from transplant.training.config import TrainConfig, UpdateConfig


class EfficacyInterval(Part):
    """Intervals of an efficacy; null without a ceiling."""

    efficacy: Bounds | None
    efficacy_nats: Bounds | None
    efficacy_published: Bounds


class Efficacy(Part):
    """What is left of a module's worth after an update; null without a ceiling."""

    efficacy: float | None
    """In perplexities."""
    efficacy_nats: float | None
    efficacy_published: Finite
    """With the native of the old backbone as the ceiling."""
    interval: EfficacyInterval
    no_ceiling: str | None = None


class BeforeAfter(Part):
    """A perplexity of the text of an update."""

    before: Finite
    after: Finite


class Offsets(Part):
    """How far z is off, before a repair and after it."""

    before: float
    repaired: float


class Repaired(Part):
    """What a repair has chosen."""

    ridge: float
    ridge_out: float | None
    tried: list[Whole[TriedOutput]]


class UpdateSeconds(Part):
    """What an update, a repair and a native take."""

    update: float
    update_per_step: float
    repair: float
    native: float
    native_per_step: float
    native_to_match: float


class Hashes(Part):
    """Of a module."""

    before: Sha256
    after: Sha256


class BackboneHashes(Part):
    """Of a backbone that must stay as it is, and of its updated copy."""

    before: Sha256
    original_after: Sha256
    after: Sha256


class OneUpdate(Part):
    """An update with one seed."""

    seed: int
    ppl: dict[str, Finite]
    efficacy: dict[str, Efficacy]
    update_ppl: BeforeAfter
    repair_choice: Repaired
    z_off: Offsets
    repair_speedup: float
    repair_rows: int
    native_matched: bool
    seconds: UpdateSeconds
    module_sha256: Hashes
    backbone_sha256: BackboneHashes


class Update(Part):
    """The recipe of an update, and its text."""

    kind: str
    steps: int
    batch: int
    window: int
    learning_rate: float
    weight_decay: float
    clip: float
    stability: float
    train_interface: bool
    cache_bytes: int
    lora_rank: int
    seed: int
    corpus: str
    split: str
    tokens: int


class InvarianceReport(Report, Efficacy):
    """`invariance`."""

    module: str
    backbone: str
    kind: str
    stability: float
    seeds: list[int]
    ppl: dict[str, Finite]
    verdict: str
    repaired: Efficacy
    controls: dict[str, Efficacy]
    update_ppl: BeforeAfter
    z_off: Offsets
    native_matched: bool
    repair_speedup: float
    seconds: UpdateSeconds
    module_sha256: Hashes
    backbone_sha256: BackboneHashes
    each: list[OneUpdate]
    update: Update
    repair: Whole[RepairConfig]
    recipe: Whole[TrainConfig]
    corpus: str
    split: str
    made: Made


class Matrix(Part):
    """Perplexities by what is attached and what is read; worsening in %."""

    ppl: dict[str, dict[str, Finite]]
    general_worsens: dict[str, float]
    others_worsen: dict[str, float]


class AtTheGate(Part):
    """What a gate spares general text, in %, and keeps of its module's gain."""

    general_worsens: float
    general_worsens_ungated: float
    kept: float | None


class Round(Part):
    """One update of a succession."""

    round: int
    corpus: str
    ppl: dict[str, dict[str, Finite]]
    efficacy: dict[str, dict[str, float | None]]
    """By module and system."""
    no_ceiling: dict[str, str] | None = None
    update_ppl: BeforeAfter
    matrix: dict[str, Matrix]
    matrix_gated: dict[str, Matrix]
    gate: dict[str, dict[str, AtTheGate]]
    backbone_sha256: Sha256
    seconds: dict[str, float]


class GateOrigin(Part):
    """Where a gate comes from; how well it does where it was fitted now."""

    from_: str = Field(alias="from")
    memory: float | None = None
    kept: float | None = None
    worse: float | None = None
    worse_ungated: float | None = None


class SuccessionReport(Report):
    """`succession`."""

    modules: list[str]
    backbone: str
    rounds: list[Round]
    matrix_before: Matrix
    matrix_gated_before: Matrix
    gate_before: dict[str, AtTheGate]
    gates: dict[str, GateOrigin]
    least_efficacy: dict[str, float | None]
    decay: dict[str, dict[str, float | None]]
    """By module and way to apply it: the change of efficacy a round."""
    module_sha256: dict[str, Hashes]
    backbone_sha256: list[Sha256]
    passed: bool = Field(alias="pass")
    update: Whole[UpdateConfig]
    corpora: list[str]
    general: str
    split: dict[str, str]
    """By module."""
    made: Made


class GatePPL(Part):
    """Perplexities of one text."""

    raw: Finite
    ungated: Finite
    gated: Finite


class GateTexts(Part):
    """Perplexities of either text."""

    domain: GatePPL
    general: GatePPL


class GateReport(Report):
    """`gate`."""

    name: str
    general: str
    ppl: GateTexts
    memory: float
    tried: list[Whole[TriedMemory]]
    config: Whole[GateConfig]
    split: dict[str, str]
    """By corpus."""
    seconds: float
    kept: float | None
    general_worsens: float
    general_worsens_ungated: float
    made: Made
