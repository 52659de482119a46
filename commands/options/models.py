"""Which weights a backbone has, where they go and what they compute in.

Of every verb that loads one; `--device` and `--seed`, which all verbs have, stand in
`commands.session`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from transplant.dtypes import AUTO
from transplant.errors import InputError

MODEL_OPTIONS: dict[str, tuple[Any, Any]] = {
    "dtype": (
        Annotated[
            str,
            typer.Option(
                "--dtype",
                help="Arithmetic of the backbones: float32, bfloat16, float16; auto: as stored, "
                "where the device multiplies it.",
            ),
        ],
        AUTO,
    ),
    "revision": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--revision",
                help="Hub revision of every backbone; of one as ID=REVISION, repeatable.",
            ),
        ],
        None,
    ),
    "device_map": (
        Annotated[
            str | None,
            typer.Option(
                "--device-map",
                help="Over several devices and the disk: auto, balanced, sequential, or JSON.",
            ),
        ],
        None,
    ),
    "max_memory": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--max-memory", help="With it: what a device may hold, as cpu=8GiB; repeatable."
            ),
        ],
        None,
    ),
    "offload_folder": (
        Annotated[
            Path | None,
            typer.Option("--offload-folder", help="With it: where weights may go on the disk."),
        ],
        None,
    ),
}


def parse_models(given: dict[str, Any]) -> dict[str, Any]:
    """What `Work` takes, of the options as they were typed."""
    from transplant.backbones.spread import parse_device_map

    parse = {
        "revision": parse_revisions,
        "device_map": lambda text: None if text is None else parse_device_map(text),
        "max_memory": parse_memory,
    }
    return {name: parsed(given[name]) for name, parsed in parse.items() if name in given}


def parse_memory(given: list[str] | None) -> dict[str | int, str] | None:
    """Turns `--max-memory` into what each device may hold."""
    found: dict[str | int, str] = {}
    for text in given or ():
        device, named, amount = text.partition("=")
        if not (named and device and amount):
            raise InputError("--max-memory", expected="DEVICE=AMOUNT, as cpu=8GiB", found=text)
        place = int(device) if device.isdecimal() else device
        if place in found:
            raise InputError("--max-memory", expected="each device once", found=text)
        found[place] = amount
    return found or None


def parse_revisions(given: list[str] | None) -> dict[str, str]:
    """Turns `--revision` into revisions by hub id; that of every other stands under ``."""
    revisions: dict[str, str] = {}
    for text in given or ():
        name, named, revision = text.rpartition("=")
        if not revision or (named and not name) or name in revisions:
            raise InputError(
                "--revision", expected="REVISION, or ID=REVISION once for each", found=text
            )
        revisions[name] = revision
    return revisions
