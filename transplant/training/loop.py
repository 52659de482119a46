"""Training a domain module and its interface on a frozen backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from transplant.backbones.states import States
from transplant.backbones.view import Backbone
from transplant.losses import LossNote
from transplant.modules.correction import Correction
from transplant.modules.forms import MlpModule
from transplant.modules.interface import Interface
from transplant.progress import Progress
from transplant.ranks import Ranks, current
from transplant.training.checkpoint import (
    Checkpoint,
    CheckpointFile,
    optimizer_tensors,
    prefixed,
    restore_optimizer,
    unprefixed,
)
from transplant.training.config import TrainConfig
from transplant.training.course import Course
from transplant.training.losses import cross_entropy
from transplant.training.optimizer import make_adamw, set_rate, sum_gradients, take_step
from transplant.training.precision import matmul_type
from transplant.training.row_sources import RowSource, states_of
from transplant.training.schedule import warmup_cosine
from transplant.training.share import Text, shares_of


@dataclass(frozen=True)
class TrainResult:
    """The best correction by the calibration split, and the course of its training."""

    correction: Correction
    course: Course
    rows: str
    """Where hidden states came from: `cached` in memory or on `disk`, `live`, or a `file`."""
    matmul_type: str
    """Type in which steps multiplied matrices."""


def train_module(
    backbone: Backbone,
    train: Text,
    calibration: Text,
    config: TrainConfig,
    *,
    start: Correction | None = None,
    checkpoint: CheckpointFile | None = None,
    resume: bool = False,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Trains interface and module by next-token cross-entropy; the backbone does not move.

    AdamW, warm-up and cosine, gradient clipping. The calibration split decides when to stop and
    which step is kept. An interrupted run that is resumed ends with the same bytes. Of several
    processes each reads its share of the windows; gradients are summed over all.

    Args:
        backbone: the frozen language model.
        train: windows to learn from, or their rows (of `shares_of`), which spares the backbone.
        calibration: windows, or rows, that decide early stopping.
        config: the recipe.
        start: what to train, where it is not a new interface and module of `config`; its frozen
            parameters stay as they are.
        checkpoint: where the state is kept; every look at the calibration split saves it.
        resume: continue from the checkpoint.
        scratch: a folder for hidden states that do not fit into memory; None: they are read anew.
        progress: called after each step.
    """
    if start is None:
        taps = backbone.check_taps(config.taps or backbone.all_taps)
        start = new_correction(
            backbone.d_model, config.d_abi, taps, config.seed, tap_norms=config.tap_norms
        )
    source, held = shares_of(backbone, (train, calibration), start.taps, folder=scratch)
    ranks = source.ranks
    run = _Run(backbone, config, start, ranks)
    if resume and checkpoint is not None:
        run.restore(checkpoint.load())
    order = WindowOrder(len(train), config.batch, config.seed)
    before = run.course.told()
    while run.course.goes_on(config.steps, config.patience):
        loss, held_loss = run.step(source.rows(order.batch(run.course.step))), None
        step = run.course.step
        if step % config.evaluate_every == 0 or step == config.steps:
            held_loss = run.look(mean_loss(backbone, held.own, run.correction))
            if checkpoint is not None and ranks.first:
                checkpoint.save(run.checkpoint())
        if progress is not None:
            progress(
                step,
                config.steps,
                LossNote(loss, run.course.best_loss, held=held_loss, before=before),
            )
    run.correction.load_state_dict(run.best)
    rows = type(source.own).__name__.removesuffix("Rows").lower()
    precision = str(run.matmul_type).removeprefix("torch.")
    return TrainResult(run.correction.eval(), run.course, rows, precision)


def new_correction(
    d_model: int, d_abi: int, taps: Sequence[int], seed: int, *, tap_norms: bool | None = None
) -> Correction:
    """An untrained interface and module; the same seed gives the same bytes."""
    generator = torch.Generator().manual_seed(seed)
    interface = Interface(d_model, d_abi, taps, tap_norms=tap_norms, generator=generator)
    return Correction(interface, MlpModule(d_abi, generator=generator))


@torch.no_grad()
def mean_loss(backbone: Backbone, source: RowSource, correction: nn.Module) -> float:
    """Mean next-token loss in nats over all rows of a source."""
    total, count = 0.0, 0
    for states in states_of(backbone, source, ()):
        total += cross_entropy(backbone, states, correction).item() * len(states)
        count += len(states)
    total, count = current().total(total, count)
    return total / count


class WindowOrder:
    """Which windows each step sees: a fresh permutation each pass, computed from the step alone."""

    def __init__(self, windows: int, batch: int, seed: int) -> None:
        self.windows, self.seed = windows, seed
        self.batch_size = min(batch, windows)
        self.per_pass = windows // self.batch_size

    def batch(self, step: int) -> list[int]:
        """The windows of one step."""
        epoch, place = divmod(step, self.per_pass)
        permutation = np.random.default_rng([self.seed, epoch]).permutation(self.windows)
        return permutation[place * self.batch_size : (place + 1) * self.batch_size].tolist()


class _Run:
    """The moving parts of one training run."""

    def __init__(
        self, backbone: Backbone, config: TrainConfig, start: Correction, ranks: Ranks
    ) -> None:
        self.ranks = ranks
        self.backbone, self.config, self.course = backbone, config, Course()
        self.correction = start.to(backbone.device).train()
        self.best = self._snapshot()
        self.matmul_type = matmul_type(config.matmul_type, backbone.device)
        self.optimizer = make_adamw(
            self.correction.parameters(), config.learning_rate, config.weight_decay, (0.9, 0.98)
        )

    def step(self, states: States | None) -> float:
        """One step on a batch, of which `states` is this process's part; returns its mean loss."""
        config = self.config
        rate = warmup_cosine(self.course.step, config.steps, warmup=config.warmup)
        set_rate(self.optimizer, config.learning_rate * rate)
        loss = self._gradient(states)
        moving = [*self.correction.parameters()]
        take_step([self.optimizer], moving, config.clip, self.course.step)
        self.course.step += 1
        self.course.losses.append(loss)
        return loss

    def _gradient(self, states: States | None) -> float:
        """Leaves the gradient of the mean loss over all processes' rows; returns that loss."""
        if self.ranks.count == 1:
            assert states is not None
            loss = cross_entropy(self.backbone, states, self.correction, self.matmul_type)
            loss.backward()
            return loss.item()
        rows = 0 if states is None else len(states)
        loss = torch.zeros(())
        if states is not None:
            loss = cross_entropy(self.backbone, states, self.correction, self.matmul_type) * rows
            loss.backward()
        moving = [p for p in self.correction.parameters() if p.requires_grad]
        count, total = sum_gradients(moving, [rows, loss.item()], self.ranks)
        for p in moving:
            assert p.grad is not None
            p.grad /= count
        return total / count

    def look(self, loss: float) -> float:
        """Takes in the held-out loss of a look, and returns it."""
        if self.course.look(loss):
            self.best = self._snapshot()
        return loss

    def checkpoint(self) -> Checkpoint:
        tensors = prefixed("current", self.correction) | optimizer_tensors(self.optimizer)
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        return Checkpoint(asdict(self.course), tensors)

    def restore(self, checkpoint: Checkpoint) -> None:
        self.course = Course(**checkpoint.progress)
        self.correction.load_state_dict(unprefixed("current", checkpoint.tensors))
        self.best = unprefixed("best", checkpoint.tensors)
        restore_optimizer(self.optimizer, checkpoint.tensors)

    def _snapshot(self) -> dict[str, Tensor]:
        return {k: v.detach().clone() for k, v in self.correction.state_dict().items()}
