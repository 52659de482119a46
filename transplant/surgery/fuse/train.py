"""Training a fusion: the combiner learns on the next token, and nothing else moves."""

from __future__ import annotations

from collections.abc import Sequence

from transplant.backbones.fingerprint import hash_parameters, hash_tensors
from transplant.progress import Progress
from transplant.surgery.fuse.config import FuseConfig
from transplant.surgery.fuse.hosted import Fused, FusedModules
from transplant.surgery.next_token import text_plan
from transplant.text.windows import Window
from transplant.training.course import Course
from transplant.training.descent import descend
from transplant.training.loop import WindowOrder


def train_fusion(
    model: Fused,
    train: Sequence[Window],
    held: Sequence[Window],
    config: FuseConfig,
    *,
    progress: Progress | None = None,
) -> Course:
    """Trains the combiner on the next-token loss of the whole model.

    The start, where every weight is 0, takes part in the choice of the best look: what is kept is
    no worse on the calibration side than the backbone alone.

    Args:
        model: its combiner is trained in place.
        train: windows of all texts.
        held: windows of the calibration side.
        config: the recipe.
        progress: called after each step.
    """
    model.requires_grad_(False)
    model.combiner.requires_grad_(True)
    order = WindowOrder(len(train), config.batch, config.seed)
    rates = [(model.combiner, config.learning_rate)]
    course = descend(text_plan(model, rates, config.steps, train, held, order), config, progress)
    model.requires_grad_(False)
    return course


def frozen_hashes(model: Fused) -> dict[str, str]:
    """The sha256 of everything that a fusion must not move: the backbone, and each module."""
    inside = (
        list(model.corrections)
        if isinstance(model, FusedModules)
        else [injection.graft for injection in model.injections]
    )
    found = {"backbone": hash_parameters(model.backbone.model)}
    found |= {str(n): hash_tensors(one.state_dict()) for n, one in enumerate(inside)}
    return found
