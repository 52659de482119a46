"""Reports on many calibrations of one move: curves over budgets, and ablations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from transplant.schemas.base import Bounds, Finite, Made, Part, Report, Sha256
from transplant.schemas.shares import NIB, DonorMix, NoNIB, Sources
from transplant.schemas.told import Whole
from transplant.workflows.move.ablation import Sizes


class Trials(Part):
    """Calibrations of one move, judged on the same text."""

    donor: str
    target: str
    eval_tokens: int
    split: str
    pairing_split: str
    module_sha256: Sha256
    made: Made
    seconds: dict[str, float]
    no_ceiling: str | None = None


class Scored(Part):
    """One system on held-out documents."""

    name: str
    ppl: Finite
    recovered: float | None
    interval: Bounds | None
    no_ceiling: str | None = None


class Trial(Scored):
    """One calibration."""

    seed: int
    steps: int | None = None
    best_step: int | None = None
    donor_mix: DonorMix | None = None


class CurveRow(Trial):
    """One calibration at one budget."""

    curve: str
    budget: int
    objective: str | None = None
    needs: list[str] | None = None
    seconds: float | None = None


class Point(Part):
    """The mean over seeds at a budget, with Student's interval."""

    tokens: int
    recovered: float | None
    interval: Bounds | None
    by_seed: list[float | None]


class CurveReport(Report, Trials):
    """`transfer --curve`."""

    objective: str
    pairing_corpus: str
    budgets: list[int]
    seeds: list[int]
    curves: dict[str, list[Point]]
    crossing_tokens: float | None
    rows: list[CurveRow]
    early_stopping_tokens: int
    files: list[str]


class AblationRow(Trial):
    """An objective, from a start, with somebody's module."""

    objective: str
    needs: list[str]
    module: str
    from_: str = Field(alias="from")
    train: str | None = None
    label: str | None = None
    seconds: float
    nib: NIB | NoNIB


class MeanNIB(Part):
    """Means over those seeds that could be judged."""

    top5: float
    top1: float
    js: float
    entropy: float
    passed: int
    """How many passed."""


class AblationMean(Part):
    """Means over seeds, with Student's interval where there are several."""

    objective: str
    from_: str = Field(alias="from")
    module: str
    seeds: list[int]
    needs: list[str]
    recovered: float | None
    interval: Bounds | None
    ppl: Finite
    seconds: float
    nib: MeanNIB | None = None


class AblationReport(Report, Trials):
    """`ablate objectives` and `ablate controls`."""

    ablation: Literal["objectives", "controls"]
    sizes: Whole[Sizes]
    rows: list[AblationRow]
    means: list[AblationMean]
    sources: Sources | None = None


class ShapeRow(Part):
    """A module of one shape, moved and weighed."""

    shape: str
    seed: int
    d_abi: int
    taps: list[int]
    module_parameters: int
    donor_ppl: dict[str, Finite]
    ppl: dict[str, Finite]
    recovered: dict[str, float | None]
    interval: Bounds | None
    donor_attributable: float | None
    module_attributable: float | None
    nib: NIB | NoNIB
    r2: float
    no_ceiling: str | None = None


class ShapesReport(Report):
    """`ablate shapes`."""

    ablation: Literal["shapes"]
    donor: str
    target: str
    rows: list[ShapeRow]
    eval_tokens: int
    split: str
    made: Made
    seconds: dict[str, float]


class BesideRow(Scored):
    """A system, or donor and target side by side."""

    added: str | None = None
    donor_word: float | None = None
    gain: float | None = None
    change: str | None = None
    module: bool | None = None
    elsewhere: str | None = None


class CeilingReport(Report, Trials):
    """`ablate ceiling`."""

    ablation: Literal["ceiling"]
    paired_share: float
    rows: list[BesideRow]


Ablate = AblationReport | ShapesReport | CeilingReport
