"""Options that the table of verbs gives to them: to all, to those of text, of models, of training.

Each is its type with what Typer needs, and its default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from transplant.dtypes import AUTO

MAX_SEED = 2**62  # generators take 63 bits, and runs draw from the seeds that follow
Option = tuple[Any, Any]


def _option(kind: Any, default: Any, said: str, *flags: str, **more: Any) -> Option:
    return cast(Any, Annotated)[kind, typer.Option(*flags, help=said, **more)], default


SHARED_OPTIONS: dict[str, Option] = {
    "as_json": _option(bool, False, "One JSON object on stdout.", "--json"),
    "quiet": _option(bool, False, "No progress.", "--quiet", "-q"),
    "debug": _option(bool, False, "Show tracebacks.", "--debug"),
    "seed": _option(int, 0, "Seed of every random draw.", "--seed", min=0, max=MAX_SEED),
    "device": _option(str, "cpu", "auto, cpu, cuda, cuda:1, mps.", "--device"),
    "registry": _option(
        Path | None, None, "Registry folder; default: $ABI_REGISTRY, else the user data folder.",
        "--registry",
    ),
}  # fmt: skip
"""Of every verb."""
TEXT_OPTIONS: dict[str, Option] = {
    "skip_bad": _option(
        bool, False, "Leave out files and rows of the text that cannot be read, by name.",
        "--skip-bad",
    ),
    "text_column": _option(
        str | None, None, "The column of rows that is their text.", "--text-column"
    ),
}  # fmt: skip
"""Of the verbs that read a corpus."""
MODEL_OPTIONS: dict[str, Option] = {
    "dtype": _option(
        str, AUTO, "Arithmetic of the backbones: float32, bfloat16, float16; auto: as stored, "
        "where the device multiplies it.", "--dtype",
    ),
    "revision": _option(
        list[str] | None, None,
        "Hub revision of every backbone; of one as ID=REVISION, repeatable.", "--revision",
    ),
    "device_map": _option(
        str | None, None,
        "Over several devices and the disk: auto, balanced, sequential, or JSON.", "--device-map",
    ),
    "max_memory": _option(
        list[str] | None, None,
        "With it: what a device may hold, as cpu=8GiB; repeatable.", "--max-memory",
    ),
    "offload_folder": _option(
        Path | None, None, "With it: where weights may go on the disk.", "--offload-folder"
    ),
}  # fmt: skip
"""Of the verbs that load a backbone."""
PLOT: dict[str, Option] = {
    "plot": _option(
        Path | None, None, "A picture of the result: FILE.png, .svg or .html.", "--plot"
    ),
}
"""Of the verbs whose result can be drawn."""
LOG_TO: dict[str, Option] = {
    "log_to": _option(
        list[str] | None, None,
        "Losses as they come: tensorboard:DIR, wandb[:PROJECT], mlflow[:DIR or ADDRESS]. "
        "Repeatable.",
        "--log-to", metavar="TRACKER",
    ),
}  # fmt: skip
"""Of the verbs that train by steps."""
