"""One cell of a comparison: a method at a rate and a seed, trained, scored, kept in a file."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.errors import MemoryLimitError, NumericalError, first_line
from transplant.workflows.basis.compare.method import Once, Prepared, Scene
from transplant.workflows.basis.compare.peak import peak_bytes, reset_peak
from transplant.workflows.basis.scores import score_text

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.basis.config import AdaptConfig
    from transplant.evaluation.likelihood import Likelihood
    from transplant.text.windows import Window
    from transplant.workflows.basis.compare.table import Row
    from transplant.workflows.work import Work


@dataclass(frozen=True)
class Texts:
    """What all cells share."""

    train: Sequence[Window]
    kept: Sequence[Window]
    """Training text of another kind, which some methods are told to leave as it is."""
    held: Sequence[Window]
    """Of the calibration split: rates and steps are chosen on it."""
    judged: Mapping[str, Sequence[Window]]
    """`domain` and `other`, held out."""


def run_cell(
    work: Work, backbone: Backbone, layers: str, method: str, row: Row, texts: Texts, rank: int,
    config: AdaptConfig, once: Once,
) -> dict[str, Any]:  # fmt: skip
    """Trains a method in a copy of the backbone and scores it.

    A method that cannot be prepared on this backbone, or whose training leaves the finite numbers,
    is a cell that says so; one that lacks a package, or memory, says which one is `missing`.

    Args:
        work: the setting.
        backbone: stays as it is.
        layers: which maps are adapted.
        method: its name.
        row: of the table.
        texts: the same for all cells.
        rank: of the LoRA whose parameters are the budget.
        config: the recipe, with this cell's rate and seed.
        once: what cells before it computed; its seconds and memory count as this cell's too.
    """
    import torch

    from transplant.basis.maps import select_maps
    from transplant.basis.train import train_inside

    reset_peak(backbone.device)
    copied = copy_with_linears(backbone)
    maps = select_maps(copied, layers)
    scene = Scene(copied, maps, texts.train, texts.kept, rank, config.steps, config.seed, once)
    once.begin()
    facts = {"method": method, "rate": config.learning_rate, "seed": config.seed}
    began = time.monotonic()
    try:
        prepared: Prepared = row.prepare(scene)
    except Exception as error:  # of PEFT: whatever its own code raises
        return {**facts, **unavailable(error)}
    ready = time.monotonic()
    title = f"{method}, rate {config.learning_rate:g}, seed {config.seed}"
    try:
        with prepared.working(), work.reporter.progress(title) as progress:
            course = train_inside(
                copied, prepared.moving, texts.train, texts.held, config, progress,
                learned=prepared.learned, penalty=prepared.penalty,
            )  # fmt: skip
            trained = time.monotonic()
            scored = score_text(work, copied, texts.judged)
    except (NumericalError, torch.OutOfMemoryError, MemoryError) as error:
        return {**facts, **unavailable(error)}
    return {
        **facts, "trainable": prepared.moving.count, **prepared.facts,
        "calibration": course.best_loss, "best_step": course.best_step,
        "prepare_seconds": ready - began + once.saved, "train_seconds": trained - ready,
        "peak_bytes": max(peak_bytes(backbone.device) or 0, once.held) or None,
        "scores": {name: as_lists(likelihood) for name, likelihood in scored.items()},
    }  # fmt: skip


def unavailable(error: Exception) -> dict[str, Any]:
    """Why a cell has no numbers, and what is `missing` where this machine may have it later."""
    import torch

    found: dict[str, Any] = {"unavailable": first_line(error)}
    if isinstance(error, ImportError):
        return found | {"missing": error.name}
    if isinstance(error, (torch.OutOfMemoryError, MemoryError, MemoryLimitError)):
        return found | {"missing": "memory"}
    return found


def as_lists(likelihood: Likelihood) -> dict[str, list[float]]:
    """Nats and tokens of each document."""
    return {field.name: getattr(likelihood, field.name).tolist()
            for field in dataclasses.fields(likelihood)}  # fmt: skip


def copy_with_linears(backbone: Backbone) -> Backbone:
    """A copy that a method may change; what it is known by is not computed again.

    A `Conv1D`, as GPT-2 has them, is a `Linear` in it, of the same function: PEFT's starts are
    written for these, and some of them fail on the other.
    """
    from transplant.backbones.load import view_of

    model = copy.deepcopy(backbone.model)
    _put_linears(model)
    return view_of(
        backbone.name, model, backbone.tokenizer,
        weights_sha256=backbone.weights_sha256, tokenizer_sha256=backbone.tokenizer_sha256,
        config_sha256=backbone.config_sha256,
    )  # fmt: skip


def _put_linears(model: Any) -> None:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    for name, module in [*model.named_modules()]:
        if not isinstance(module, Conv1D):
            continue
        weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
        linear = nn.Linear(weight.shape[0], weight.shape[1], device="meta").train(module.training)
        linear.weight = nn.Parameter(weight.data.T.contiguous(), weight.requires_grad)
        linear.bias = nn.Parameter(bias.data, bias.requires_grad)
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, linear)
