"""A model over several devices, or partly on the disk, as `accelerate` dispatches it.

The embeddings and the head stay in memory on one device, whatever the map says: every loss reads
them. What is offloaded is read from the model's own files, block by block, each time it runs.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transplant.backbones.places import DISK, bytes_by_device, check_places
from transplant.errors import BackboneError, InputError, StorageError, foreign

NAMED = ("auto", "balanced", "balanced_low_0", "sequential")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Where the parts of a model go."""

    device_map: str | Mapping[str, str | int]
    """One of `NAMED`, or a device for each module by name: `{"model": 0, "lm_head": "disk"}`."""
    max_memory: Mapping[str | int, str | int] | None = None
    """What a device may hold, where the map is one of `NAMED`: `{0: "10GiB", "cpu": "30GiB"}`."""
    offload_folder: Path | None = None
    """Where weights go that the model's own files do not hold as they are needed."""

    def __post_init__(self) -> None:
        named = isinstance(self.device_map, str)
        if named and self.device_map not in NAMED:
            raise InputError(
                "`device_map`", expected=f"one of {', '.join(NAMED)}, or a device by module",
                found=self.device_map,
            )  # fmt: skip
        if self.max_memory and not named:
            raise InputError("`max_memory`", expected=f"with a device map of {', '.join(NAMED)}")
        if not isinstance(self.device_map, str):
            if not self.device_map:
                raise InputError("`device_map`", expected="a device by module", found="nothing")
            check_places(self.device_map)
        bytes_by_device(self.max_memory or {})

    def place(self, model_class: Any, config: Any, dtype: torch.dtype | str) -> dict[str, Any]:
        """The device of each module; the model is built without memory for its weights.

        Raises:
            InputError: `accelerate` is missing, or finds no such device or module.
        """
        with foreign(
            "`device_map` cannot be followed", InputError, expected="what accelerate does"
        ):
            from accelerate import infer_auto_device_map
            from accelerate.utils import get_balanced_memory, get_max_memory
            from transformers import initialization

            with torch.device("meta"), initialization.no_init_weights():
                model = model_class._model_mapping[type(config)](config)
            model.tie_weights()
            if not isinstance(self.device_map, str):
                _check_modules(model, self.device_map, config.model_type)
                return pinned(model, dict(self.device_map))
            own: Any = {"dtype": dtype} if isinstance(dtype, torch.dtype) else {}
            whole: Any = [*(model._no_split_modules or ())]
            memory: Any = bytes_by_device(self.max_memory) if self.max_memory else None
            if self.device_map == "sequential":
                memory = get_max_memory(memory)
            else:
                memory = get_balanced_memory(
                    model, memory, whole, low_zero=self.device_map == "balanced_low_0", **own
                )
            return pinned(model, dict(infer_auto_device_map(model, memory, whole, **own)))

    @contextmanager
    def folder(self) -> Iterator[tuple[str, Callable[[nn.Module], None]]]:
        """Where offloaded weights may go, and a call that ties it to the model that has them.

        A folder that nobody named is removed with the model, or when none was made.

        Raises:
            StorageError: the folder that was named cannot be made.
        """
        if self.offload_folder is not None:
            try:
                self.offload_folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"`offload_folder`: {self.offload_folder} cannot be made",
                    expected="a folder", found=error.strerror,
                ) from error  # fmt: skip
            yield str(self.offload_folder), lambda _model: None
            return
        made = tempfile.mkdtemp(prefix="abi-offload-")
        kept: list[object] = []

        def keep(model: nn.Module) -> None:
            kept.append(weakref.finalize(model, shutil.rmtree, made, ignore_errors=True))

        try:
            yield made, keep
        finally:
            if not kept:
                shutil.rmtree(made, ignore_errors=True)


def pinned(model: nn.Module, device_map: dict[str, Any]) -> dict[str, Any]:
    """The map with the embeddings and the head on the device that runs what is offloaded.

    Args:
        model: as it is built, weights tied.
        device_map: a device for each module by name; the empty name is all of it.
    """
    main = next((place for place in device_map.values() if str(place) not in ("cpu", DISK)), "cpu")
    tables: Any = model
    held = {id(tables.get_input_embeddings().weight), id(tables.get_output_embeddings().weight)}
    for name, module in model.named_modules():
        if id(getattr(module, "weight", None)) not in held:
            continue
        while (above := _above(name, device_map)) not in (None, name):
            assert above is not None
            place = device_map.pop(above)
            for child, _ in model.get_submodule(above).named_children():
                device_map.setdefault(f"{above}.{child}" if above else child, place)
        device_map[name] = main
    return device_map


def _check_modules(model: nn.Module, device_map: Mapping[str, Any], family: str) -> None:
    """Refuses a name that no module has: what it was meant for would stay where it is.

    Raises:
        InputError: naming it.
    """
    held = {name for name, _ in chain(model.named_modules(), model.named_parameters())}
    if unknown := sorted(device_map.keys() - held):
        raise InputError(
            f"`device_map` names no module of this {family}",
            expected=f"as {', '.join(name for name, _ in model.named_children())}, or '' for all",
            found=", ".join(map(repr, unknown[:4])),
        )


def _above(name: str, device_map: Mapping[str, Any]) -> str | None:
    """The longest name of the map that covers a module."""
    parts = name.split(".")
    covering = (".".join(parts[:count]) for count in range(len(parts), -1, -1))
    return next((prefix for prefix in covering if prefix in device_map), None)


def is_offloaded(model: nn.Module) -> bool:
    """Whether some of a model's weights are not in memory."""
    return any(parameter.is_meta for parameter in model.parameters())


def every_tensor(model: nn.Module, *, away: bool = True) -> Iterator[tuple[str, Tensor]]:
    """Parameters, and buffers that a file holds, by name.

    Args:
        model: any.
        away: whether what is offloaded is read in turn, too.
    """
    held = model.state_dict().keys()
    buffers = ((name, buffer) for name, buffer in model.named_buffers() if name in held)
    offloaded: dict[str, list[str]] = {}
    for name, tensor in chain(model.named_parameters(), buffers):
        if tensor.is_meta:
            owner, _, leaf = name.rpartition(".")
            offloaded.setdefault(owner, []).append(leaf)
        else:
            yield name, tensor
    if not (away and offloaded):
        return
    from accelerate.utils import align_module_device

    for owner, leaves in offloaded.items():
        module = model.get_submodule(owner)
        with align_module_device(module, torch.device("cpu")):
            for leaf in leaves:
                yield f"{owner}.{leaf}", getattr(module, leaf)


def require_weights(model: nn.Module, name: str, what: str) -> None:
    """Refuses a model that is partly on the disk, for what needs all of its weights.

    Raises:
        BackboneError: naming what.
    """
    if is_offloaded(model):
        raise BackboneError(
            f"{what} needs all weights of {name} in memory", found="some of them on the disk",
            hint="without `device_map`",
        )  # fmt: skip
