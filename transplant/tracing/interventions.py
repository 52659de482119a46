"""Values that take the place of a target's own."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from transplant.errors import BackboneError
from transplant.tracing.batch import Batch
from transplant.tracing.config import TraceConfig
from transplant.tracing.moments import Moments, by_position
from transplant.tracing.places import Places
from transplant.tracing.targets import Target

NEEDS_MOMENTS = ("mean", "noise")


@dataclass(frozen=True)
class Scene:
    """What values are made from, for one batch."""

    config: TraceConfig
    batch: Batch
    partner: Tensor | None
    """int64 [batch]: whose values `resample` takes."""
    moments: Moments | None
    """Of the text that is traced, for `mean` and `noise`."""

    @classmethod
    def of(cls, config: TraceConfig, batch: Batch, number: int, moments: Moments | None) -> Scene:
        """The scene of batch `number`: partners are drawn from the seed and this number."""
        partner = None
        if config.intervention == "resample":
            partner = batch.derangement(seeded(config.seed, f"partners/{number}"))
        return cls(config, batch, partner, moments)


def _zero(value: Tensor, _scene: Scene, _target: Target) -> Tensor:
    return torch.zeros_like(value)


def _mean(value: Tensor, scene: Scene, target: Target) -> Tensor:
    assert scene.moments is not None
    return by_position(scene.moments.mean(target), value)


def _noise(value: Tensor, scene: Scene, target: Target) -> Tensor:
    assert scene.moments is not None
    noise = torch.zeros(value.shape)
    for row, window in enumerate(scene.batch.windows):
        # Of a window and a target, whatever else is in the batch.
        own = f"{target.name}/{window.document}/{window.ends[0]}"
        draw = seeded(scene.config.seed, own)
        real = int(scene.batch.real[row].sum())
        noise[row, :real] = torch.randn(real, value.shape[-1], generator=draw)
    spread = by_position(scene.moments.std(target), value)
    return value + scene.config.noise * noise.to(value) * spread


def _resample(value: Tensor, scene: Scene, _target: Target) -> Tensor:
    assert scene.partner is not None
    return value[scene.batch.rows_of(scene.partner)]


REPLACEMENTS: dict[str, Callable[[Tensor, Scene, Target], Tensor]] = {
    "zero": _zero,
    "mean": _mean,
    "noise": _noise,
    "resample": _resample,
}
"""By intervention: from a place's value [batch, seq, width] to another for all of its columns."""


def replacement(value: Tensor, scene: Scene, target: Target) -> Tensor:
    """The value [batch, seq, width] of the target's place under the scene's intervention."""
    return REPLACEMENTS[scene.config.intervention](value, scene, target)


@contextmanager
def intervened(places: Places, target: Target, scene: Scene) -> Iterator[None]:
    """Has a target's value replaced in the passes inside.

    Raises:
        BackboneError: a pass was run, and the target's place was never come by.
    """
    fired = 0

    def change(value: Tensor) -> Tensor:
        nonlocal fired
        fired += 1
        wide = value.reshape(*scene.batch.real.shape, -1)
        changed = target.replaced(places, wide, replacement(wide, scene, target))
        return changed.reshape(value.shape)

    with places.changed(target.kind, target.layer, change):
        yield
    check_fired(places, target.name, fired)


def check_fired(places: Places, name: str, fired: int) -> None:
    """Refuses a result whose intervention never took place.

    Raises:
        BackboneError: naming the target.
    """
    if not fired:
        raise BackboneError(
            f"{places.backbone.name} ran without passing {name}: nothing was replaced",
            expected="a module that takes part in every pass",
            hint="open an issue with the model's id",
        )


def seeded(seed: int, what: str) -> torch.Generator:
    """Draws that do not depend on what else is drawn, or in which order."""
    # A generator takes 32 bits of its seed.
    return torch.Generator().manual_seed(zlib.crc32(f"{seed}/{what}".encode()))
