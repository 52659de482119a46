"""Bridges that `bridge-align` has left, for the moves that they were made of."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TypeVar

from transplant.backbones.identity import difference
from transplant.calibration.config import MoveConfig
from transplant.library import Manifest
from transplant.workflows.move.move import Move

M = TypeVar("M", bound=Move)
# Of a `MoveConfig`; of `keep` and `guidance` the split tells.
OUTPUT_ALONE = (
    "changes", "change", "inside", "longer", "shrink", "keep", "guidance", "less_general",
)  # fmt: skip


def with_stored_bridge(move: M) -> M:
    """The move with the bridge that `bridge-align` has stored, if it was made of the same things.

    Without one it is the move itself: the bridge is fitted when it is first needed.
    """
    from transplant.calibration.bridge import Bridge, BridgeQuality
    from transplant.errors import CorruptError, foreign
    from transplant.modules.interface import Interface

    registry = move.work.library
    for entry in registry.choices("bridge", move.to, move.moved_name, move.manifest.d_abi):
        manifest = entry.manifest
        same = (
            manifest.parents == move.parents()
            and difference(manifest.backbone, move.target) is None
            and manifest.made.get("pairing_split") == move.pairing_split
            and _config_of(manifest, move.target.d_model)
            == _of_input(_as_json(dataclasses.asdict(move.fitting)))
        )
        if same:
            tensors = registry.read(entry)
            with foreign(f"the bridge {entry.hosted}", CorruptError, hint="`bridge_align()` again"):
                interface = Interface.from_tensors(tensors, manifest.taps)
                interface.requires_grad_(False).eval()
                stored = Bridge(interface, BridgeQuality(**manifest.results))
            return move.taking(bridge=stored)
    return move


def _config_of(manifest: Manifest, d_model: int) -> dict[str, Any]:
    """As it was stored; an earlier version had no budget of columns, and its default changes none.

    Where the taps have more columns than that, a bridge of an earlier version is fitted again.
    """
    stored = manifest.made.get("config") or {}
    within = len(manifest.taps) * d_model <= MoveConfig.columns
    budget = {"columns": MoveConfig.columns} if within else {}
    return _of_input({**budget, **stored})


def _of_input(config: dict[str, Any]) -> dict[str, Any]:
    """Without what changes nothing of a bridge, and earlier versions did not store."""
    return {key: value for key, value in config.items() if key not in OUTPUT_ALONE}


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))
