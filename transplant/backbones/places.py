"""Devices and the memory on them, as a map of a model over several of them names these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from transplant.errors import InputError

DISK = "disk"
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)B?|B)?", re.IGNORECASE)
POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
PLACES = "cpu, disk, or the number of an accelerator that is here"


def check_places(places: Mapping[str, Any]) -> None:
    """Refuses a device that is not here.

    Args:
        places: a device for each module by name.

    Raises:
        InputError: naming the first one.
    """
    for name, place in places.items():
        if place != DISK and not is_here(place):
            raise InputError(f"`device_map`: the place of {name!r}", expected=PLACES, found=place)


def is_here(place: Any) -> bool:
    """Whether a device is one of this machine: a number, or a name as `cpu` or `cuda:1`."""
    if isinstance(place, bool) or not isinstance(place, int | str | torch.device):
        return False
    if isinstance(place, int):
        return 0 <= place < _accelerators()
    try:
        device = torch.device(place)
    except RuntimeError:
        return False
    if device.type == "cpu":
        return True
    if not _accelerators():
        return False
    own = torch.accelerator.current_accelerator()
    here = own is not None and own.type == device.type
    return here and (device.index or 0) < _accelerators()


def bytes_by_device(max_memory: Mapping[str | int, str | int]) -> dict[str | int, int]:
    """What each device may hold, in bytes.

    Args:
        max_memory: as `{0: "10GiB", "cpu": "500MB"}`; a number without a unit is bytes, GB are
            powers of 1000 and GiB of 1024, in capitals or not.

    Raises:
        InputError: a device that is not here, or what is no amount.
    """
    found: dict[str | int, int] = {}
    for device, amount in max_memory.items():
        if not is_here(device) or not (isinstance(device, int) or device in ("cpu", "mps")):
            expected = "cpu, or the number of an accelerator that is here"
            raise InputError("`max_memory`: the device", expected=expected, found=device)
        match = None if isinstance(amount, bool) else AMOUNT.fullmatch(str(amount).strip())
        if match is None:
            raise InputError("`max_memory`", expected="10GiB, 500MB", found=amount)
        number, prefix, binary = match.groups()
        unit = (1024 if binary else 1000) ** POWERS[(prefix or "").lower()]
        found[device] = int(float(number) * unit)
    return found


def _accelerators() -> int:
    return torch.accelerator.device_count() if torch.accelerator.is_available() else 0
