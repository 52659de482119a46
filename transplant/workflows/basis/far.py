"""Backbones that are read one decoder layer at a time: their weights stay on the disk."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from transplant.errors import BackboneError, InputError, foreign
from transplant.files.plain import expand
from transplant.ranks import current

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.basis.maps import LinearMap
    from transplant.workflows.work import Work

AWAY = {"": "disk"}  # all but the embeddings and the head


def far_backbone(work: Work, name: str) -> Backbone:
    """A backbone whose layers lie on the disk, or where the device map of `work` says.

    Raises:
        InputError: several processes, of which one alone can go from layer to layer.
        BackboneError: it has no layers to go through one at a time.
    """
    from transformers import PreTrainedConfig

    from transplant.basis.one_layer import layers_of

    if current().count > 1:
        raise InputError("`layer_at_a_time` runs in one process", found=current().count)
    source = str(work.library.backbone_path(name) or name)
    with foreign(f"cannot read the configuration of {name}", BackboneError):
        stored, _ = PreTrainedConfig.get_config_dict(source)
    if stored.get("is_encoder_decoder"):
        raise BackboneError(
            f"{name} cannot be read layer by layer", expected="a decoder-only model",
            found=stored.get("model_type"),
        )  # fmt: skip
    away = work if work.device_map else dataclasses.replace(work, device_map=AWAY)
    backbone = away.backbone(name)
    layers_of(backbone)
    return backbone


def check_stored_whole(work: Work, name: str) -> None:
    """Refuses a backbone whose configuration says that it is quantised; nothing is loaded.

    One that is not on this machine yet is looked at once it is.

    Raises:
        BackboneError: they are.
    """
    from transformers import PreTrainedConfig

    from transplant.basis.maps import check_not_quantised

    source = str(work.library.backbone_path(name) or expand(name))
    with contextlib.suppress(OSError, ValueError):
        stored, _ = PreTrainedConfig.get_config_dict(source, local_files_only=True)
        check_not_quantised(SimpleNamespace(**stored), name)


def check_inside_layers(maps: Sequence[LinearMap]) -> None:
    """Refuses maps that are in no layer.

    Raises:
        InputError: naming them.
    """
    if outside := [m.name for m in maps if m.layer is None]:
        raise InputError(
            "`layer_at_a_time` reads what is inside layers", found=", ".join(outside[:3]),
            hint="`layers` without it",
        )  # fmt: skip
