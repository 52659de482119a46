"""One check of one module after an update: zero-shot, repaired, the ceiling and the controls."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from transplant.backbones.view import Backbone
from transplant.calibration.config import RepairConfig
from transplant.calibration.repair import Repaired, repair
from transplant.evaluation.invariance import (
    NATIVE_UPDATED,
    RAW_UPDATED,
    WITH_MODULE,
    ZERO_SHOT,
    Efficacy,
    weigh_update,
)
from transplant.evaluation.likelihood import Corrector, Likelihood, score_documents
from transplant.modules.correction import Correction
from transplant.modules.domain import DomainModule
from transplant.modules.interface import Interface
from transplant.modules.untrained import random_module
from transplant.progress import Reporter, SilentReporter, unseen
from transplant.text.windows import Window, first_windows
from transplant.training.config import TrainConfig
from transplant.training.loop import TrainResult, mean_loss, train_module
from transplant.training.row_sources import row_source
from transplant.training.share import shares_of

RAW, REPAIRED, RANDOM, NATIVE_SMALL = "raw", "repaired", "random_module", "native_same_tokens"
RANDOM_REPAIRED = "random_repaired"
LOOK_EVERY = 5  # steps of the native that is trained on few tokens


@dataclass(frozen=True)
class DomainText:
    """A domain's windows, on the three sides of its split."""

    train: Sequence[Window]
    calibration: Sequence[Window]
    eval: Sequence[Window]


@dataclass(frozen=True)
class UpdateCheck:
    """What a module was worth before the update, is worth now, and what repairing it took."""

    likelihoods: dict[str, Likelihood]
    """`raw` and `with_module` on the old backbone, all others on the updated one."""
    efficacies: dict[str, Efficacy]
    zero_shot: Correction
    repaired: Repaired
    repair_seconds: float
    native_seconds: float
    """Of training the native module to the end of its recipe."""
    native_steps: int
    match_seconds: float | None
    """Until the native was as good as the repaired module on the calibration split; None: never."""

    @property
    def ppl(self) -> dict[str, float]:
        """Held-out perplexity of every system."""
        return {name: found.perplexity for name, found in self.likelihoods.items()}

    @property
    def speedup(self) -> float:
        """How many times cheaper the repair was than a native as good, or than all its training."""
        seconds = self.native_seconds if self.match_seconds is None else self.match_seconds
        return seconds / self.repair_seconds


@dataclass(frozen=True, kw_only=True)
class Checking:
    """What every check of one module needs, whatever the update."""

    original: Backbone
    """The backbone that the module was made for."""
    correction: Correction
    """The module and its interface, as they were."""
    text: DomainText
    shared: Sequence[Window]
    """Text to repair on, of which that is chosen which looks most like the domain."""
    recipe: TrainConfig
    """Of the native."""
    repair: RepairConfig = field(default_factory=RepairConfig)
    counts: Mapping[str, int] = field(default_factory=dict)
    """The domain's token counts, which travel with the module."""

    @property
    def repair_calibration(self) -> Sequence[Window]:
        """What chooses the output map of a repair: the first windows of the calibration split."""
        return first_windows(self.text.calibration, self.repair.calibration_tokens)


def check_update(
    checking: Checking,
    updated: Backbone,
    interface: Interface,
    before: dict[str, Likelihood],
    *,
    seed: int,
    reporter: Reporter | None = None,
) -> UpdateCheck:
    """Applies the old module to the updated backbone, and trains the native on it.

    Args:
        checking: module, text and recipes.
        updated: the backbone after the update.
        interface: what the update left of the module's interface: its own, unless trained.
        before: `raw` and `with_module` on the old backbone, of `score_before`.
        seed: of the natives, the random module and the bootstrap.
        reporter: is told how far the native is read for and trained.
    """
    module = checking.correction.module
    zero_shot = Correction(interface, module)
    began = time.monotonic()
    repaired = _repair(checking, updated)
    repair_seconds = time.monotonic() - began
    random = random_module(module, seed)
    recipe = replace(checking.recipe, seed=seed)
    watch = _Watch()
    native = _train_native(checking, updated, recipe, watch, reporter or SilentReporter())
    # So little text is soon overfitted: the control gets the step at which it was best.
    small = train_module(
        updated, first_windows(checking.text.train, repaired.rows), checking.text.calibration,
        replace(recipe, evaluate_every=LOOK_EVERY),
    )  # fmt: skip
    systems: dict[str, Corrector | None] = {
        RAW_UPDATED: None,
        ZERO_SHOT: zero_shot,
        REPAIRED: repaired.correction,
        NATIVE_UPDATED: native.correction,
        NATIVE_SMALL: small.correction,
        RANDOM: Correction(interface, random),
        RANDOM_REPAIRED: _repair(checking, updated, random).correction,
    }
    likelihoods = before | score_documents(updated, checking.text.eval, systems)
    weighed = {name: found for name, found in likelihoods.items() if name != RAW}
    return UpdateCheck(
        likelihoods=likelihoods,
        efficacies=weigh_update(weighed, seed=seed),
        zero_shot=zero_shot,
        repaired=repaired,
        repair_seconds=repair_seconds,
        native_seconds=watch.seconds[-1],
        native_steps=native.course.step,
        match_seconds=_seconds_to_match(checking, updated, repaired.correction, native, watch),
    )


def _train_native(
    checking: Checking, updated: Backbone, recipe: TrainConfig, watch: _Watch, reporter: Reporter
) -> TrainResult:
    """The native; the watch counts the reading of its text, too."""
    text, taps = checking.text, updated.check_taps(recipe.taps or updated.all_taps)
    with reporter.progress(f"hidden states of {updated.name}") as progress:
        train, held = shares_of(updated, (text.train, text.calibration), taps, progress=progress)
    with reporter.progress("training the ceiling") as progress:
        watch.progress = progress
        return train_module(updated, train, held, recipe, progress=watch)


def _repair(
    checking: Checking, updated: Backbone, stand_in: DomainModule | None = None
) -> Repaired:
    return repair(
        checking.original, updated, checking.correction, checking.shared, checking.repair,
        checking.counts, checking.repair_calibration, stand_in,
    )  # fmt: skip


def score_before(checking: Checking) -> dict[str, Likelihood]:
    """The raw backbone and the module on it, before any update."""
    systems: dict[str, Corrector | None] = {RAW: None, WITH_MODULE: checking.correction}
    return score_documents(checking.original, checking.text.eval, systems)


@torch.no_grad()
def _seconds_to_match(
    checking: Checking,
    updated: Backbone,
    repaired: Correction,
    native: TrainResult,
    watch: _Watch,
) -> float | None:
    """When the native's loss on the calibration split first came down to the repaired module's."""
    rows = row_source(updated, checking.text.calibration, repaired.taps)
    reached = mean_loss(updated, rows, repaired.to(updated.device))
    for step, loss in native.course.history:
        if loss <= reached:
            return watch.seconds[int(step) - 1]
    return None


class _Watch:
    """The seconds from the start to the end of each step."""

    def __init__(self) -> None:
        self.progress, self.began = unseen, time.monotonic()
        self.seconds: list[float] = []

    def __call__(self, step: int, total: int, note: str) -> None:
        self.seconds.append(time.monotonic() - self.began)
        self.progress(step, total, note)
