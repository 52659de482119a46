"""Runs of a recipe in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transplant.errors import InputError, StorageError
from transplant.merging.child import REFUSED
from transplant.progress import Progress

LOOK_S = 0.2  # between two looks at the process
END_S = 5.0  # that it has to end by itself
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def check_mergekit() -> None:
    """Refuses to begin without the package.

    Raises:
        InputError: naming the extra.
    """
    if find_spec("mergekit") is None:
        raise InputError(
            "a merge needs the package mergekit", hint="pip install 'abi-transplant[merge]'"
        )


def run_recipe(
    content: dict[str, Any], out: Path, scratch: Path, *, seed: int, progress: Progress
) -> None:
    """Has mergekit merge, offline and without code of others; it ends with this process.

    Args:
        content: the recipe, with folders in the place of names.
        out: the folder that it fills.
        scratch: a folder for the recipe and for what it says.
        seed: of the methods that draw.
        progress: is told that it goes on.

    Raises:
        InputError: mergekit refuses the recipe.
        StorageError: the process was ended from outside.
    """
    recipe, said, log = (scratch / name for name in ("recipe.json", "said.json", "log.txt"))
    recipe.write_text(json.dumps(content), "utf-8")
    words = ["-m", "transplant.merging.child", str(recipe), str(out), str(seed)]
    with said.open("wb") as answers, log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, *words], stdin=subprocess.DEVNULL, stdout=answers, stderr=errors,
            env={**os.environ, **OFFLINE},
        )  # fmt: skip
        try:
            while True:
                try:
                    code = child.wait(LOOK_S)
                    break
                except subprocess.TimeoutExpired:
                    progress(0, 0, f"{_bytes_in(out) >> 20:,} MiB written")
        except BaseException:  # Ctrl-C
            _end(child)
            raise
    if code == REFUSED:
        fault = json.loads(said.read_text("utf-8").splitlines()[-1])
        raise InputError(fault["what"], expected=fault.get("expected"), found=fault.get("found"))
    if code != 0:
        lines = log.read_text("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise StorageError(
            f"mergekit ended with code {code}", found=lines[-1][:200],
            hint="more memory, or a smaller model" if code < 0 else None,
        )  # fmt: skip


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*")) if folder.is_dir() else 0
