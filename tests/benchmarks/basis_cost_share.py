"""The share of fit and allocation in the training of the default recipe."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.basis_cost_scene import Scene, timed
from transplant.basis.adapter import adapter_of
from transplant.basis.config import AdaptConfig, AllocateConfig, FitConfig
from transplant.basis.train import mean_loss, train_inside
from transplant.text.windows import first_windows
from transplant.workflows.basis.scores import change, score_text

BEFORE = {"fit": 50_000, "fisher": 20_000}
NOW = {"fit": FitConfig.tokens, "fisher": AllocateConfig.tokens}


def share(scene: Scene, steps: int | None) -> dict[str, Any]:
    """Seconds of both recipes, and their share of the training."""
    found: dict[str, Any] = {}
    scored: dict[str, Any] = {}
    for name, tokens in (("now", NOW), ("before", BEFORE)):
        fit, basis = timed(lambda t=tokens: scene.fit(t["fit"]))
        allocate, ranks = timed(lambda b=basis, t=tokens: scene.allocate(b, t["fisher"]))
        adapter = adapter_of(scene.maps, basis, ranks)
        with adapter.attached(scene.maps):
            seconds, trained = timed(lambda a=adapter: train_seconds(scene, a, steps))
            if steps is None:
                scored[name] = score_text(scene.work, scene.backbone, {"it": scene.judged})["it"]
            else:
                seconds = trained
        found[name] = {
            "tokens": tokens, "fit_s": fit, "allocate_s": allocate, "train_s": seconds,
            "share": (fit + allocate) / seconds, "parameters": adapter.trainable,
        }  # fmt: skip
    if scored:
        found["losses"] = change(scored["before"], scored["now"])
    found["training"] = "whole" if steps is None else f"from {steps} steps and one look"
    return found


def train_seconds(scene: Scene, adapter: Any, steps: int | None) -> float:
    """Trains by the default recipe, or tells its seconds from a few steps and one look."""
    config, held = AdaptConfig(), first_windows(scene.held, AdaptConfig.calibration_tokens)
    if steps is None:
        train_inside(scene.backbone, adapter, scene.train, held, config)
        return 0.0
    short = AdaptConfig(steps=steps, evaluate_every=steps + 1)
    tiny = scene.held[-1:]  # two looks at next to nothing
    train_inside(scene.backbone, adapter, scene.train, tiny, AdaptConfig(steps=1))
    of_steps, _ = timed(lambda: train_inside(scene.backbone, adapter, scene.train, tiny, short))
    of_look, _ = timed(lambda: mean_loss(scene.backbone, held))
    looks = 1 + -(-config.steps // config.evaluate_every)
    return of_steps / steps * config.steps + looks * of_look
