"""A LoRA of one backbone, trained by next tokens: the donor, and the ceiling of all moves of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.calibration.students.lora_run import LoraRun, still, text_loss
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.start import new_lora
from transplant.surgery.lora.update import LoraUpdate, Pair
from transplant.text.windows import Window
from transplant.training.loop import WindowOrder
from transplant.training.losses import next_token_loss
from transplant.training.optimizer import make_adamw, set_rate, take_step
from transplant.training.schedule import warmup_cosine

RANK, ALPHA, RATE, BATCH, CLIP = 16, 32.0, 2e-3, 4, 1.0


@dataclass
class Trained:
    """A LoRA after some of its steps."""

    update: LoraUpdate
    done: bool
    seconds: float
    """Of the processor."""
    history: list[tuple[int, float]]
    """Looks at the calibration split, nats per token."""


def train(
    backbone: Backbone, windows: Sequence[Window], held: Sequence[Window], steps: int, seed: int,
    state: Path, deadline: float, looks: int = 5,
) -> Trained:  # fmt: skip
    """Trains pairs on every linear map but the head; goes on from `state`, stops at the deadline.

    AdamW, warm-up and cosine; the best look at the calibration split is kept.

    Args:
        backbone: the frozen base.
        windows: of the training split.
        held: of the calibration split.
        steps: of `BATCH` windows.
        seed: of the pairs and of the order.
        state: a file of this run alone.
        deadline: in `time.monotonic()`.
        looks: at the calibration split.
    """
    update = new_lora(backbone, RANK, ALPHA, seed=seed)
    moving = [tensor for pair in update.pairs.values() for tensor in (pair.a, pair.b)]
    optimizer = make_adamw(moving, RATE, 0.0, (0.9, 0.98))  # type: ignore[arg-type]
    model, order = LoraModel("lora", backbone, update), WindowOrder(len(windows), BATCH, seed)
    step, spent, best, history = 0, 0.0, still(update), []
    if state.is_file():
        saved = torch.load(state, weights_only=True)
        step, spent, history = saved["step"], saved["seconds"], saved["history"]
        for tensor, value in zip(moving, saved["now"], strict=True):
            tensor.data.copy_(value)
        optimizer.load_state_dict(saved["optimizer"])
        best = _with(update, saved["best"])
    began = time.process_time()
    while step < steps and time.monotonic() < deadline:
        set_rate(optimizer, RATE * warmup_cosine(step, steps))
        some = [windows[number] for number in order.batch(step)]
        with model.inside():
            states = backbone.run(some).labelled()
        next_token_loss(backbone, states.h_last, states.labels).backward()
        take_step([optimizer], moving, CLIP, step)  # type: ignore[arg-type]
        step += 1
        if step % max(1, steps // looks) == 0 or step == steps:
            loss = text_loss(backbone, model, held)
            if not history or loss < min(loss for _, loss in history):
                best = still(update)
            history.append((step, loss))
    spent += time.process_time() - began
    kept = [tensor for pair in best.pairs.values() for tensor in (pair.a, pair.b)]
    torch.save(
        {"step": step, "seconds": spent, "history": history, "best": kept,
         "now": [tensor.detach() for tensor in moving], "optimizer": optimizer.state_dict()},
        state,
    )  # fmt: skip
    return Trained(best, step >= steps, spent, history)


def teach(run: LoraRun, state: Path, deadline: float) -> float | None:
    """Lets a donor teach, from look to look; goes on from `state`, stops at the deadline.

    Args:
        run: the LoRA and its course, at the start.
        state: a file of this run alone.
        deadline: in `time.monotonic()`.

    Returns:
        Seconds of the processor; None where it is not done.
    """
    spent, recipe = 0.0, run.recipe
    if state.is_file():
        saved = torch.load(state, weights_only=False)
        spent, run.course, run.best = saved["seconds"], saved["course"], saved["best"]
        for tensor, value in zip(run.moving, saved["now"], strict=True):
            tensor.data.copy_(value)
        run.optimizer.load_state_dict(saved["optimizer"])

    def done() -> bool:
        return run.course.step >= recipe.steps or run.course.looks_without_gain >= recipe.patience

    while not done() and time.monotonic() < deadline:
        began = time.process_time()
        run.advance(run.course.step + recipe.evaluate_every, lambda *_: None)
        spent += time.process_time() - began
        now = [tensor.detach() for tensor in run.moving]
        torch.save(
            {"seconds": spent, "course": run.course, "best": run.best, "now": now,
             "optimizer": run.optimizer.state_dict()},
            state,
        )  # fmt: skip
    return spent if done() else None


def _with(update: LoraUpdate, tensors: Sequence[Tensor]) -> LoraUpdate:
    """Pairs of the same places and scales with other tensors, A and B of each in turn."""
    found = iter(tensors)
    pairs = {
        name: Pair(next(found), next(found), None, pair.scale)
        for name, pair in update.pairs.items()
    }
    return LoraUpdate(pairs, {})
