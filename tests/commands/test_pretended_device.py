"""What runs on the processor runs on a GPU as well, as far as one that is pretended can tell."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pretended_device import NAME, PRETENDED

pytestmark = pytest.mark.skipif(os.name == "nt", reason="forks")

OWN = ("seconds", "made", "path", "out", "bytes", "tokens_per_second")
"""Keys whose values are those of a run, not of its arithmetic."""
ROUNDING = 2e-3
"""Of each number: what a GPU reads at once is read in parts on a processor, and fits follow."""


def run(warm_path: Path, *words: str, device: str, root: Path | None = None) -> Any:
    """The JSON of `abi`, or of a module, in a process that has the device."""
    told = {} if root is None else {"ABI_REGISTRY": str(root)}
    pretended = {PRETENDED: "1"} if device == NAME else {}
    ran = subprocess.run(
        [warm_path / "abi", *words], capture_output=True, text=True, check=False,
        env={**os.environ, **told, **pretended},
    )  # fmt: skip
    assert ran.returncode in (0, 3), ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def apart(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Where two reports tell different things."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one.keys() - {*OWN}:
            yield from apart(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, both in enumerate(zip(one, other, strict=True)):
            yield from apart(*both, f"{where}[{number}]")
    elif isinstance(one, float) and isinstance(other, float):
        if not math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING):
            yield f"{where}: {one}, {other}"
    elif one != other:
        yield f"{where}: {one}, {other}"


def test_the_device_refuses_what_a_gpu_refuses_and_nothing_else(warm_path):
    found = run(warm_path, "-m", "tests.pretended_parts", "refusals", device=NAME)
    assert {name for name, refused in found.items() if not refused} == {
        name for name in found if name.startswith("allowed")
    }
    assert len(found) == 15


def test_parts_that_meet_what_was_fitted_or_drawn_on_the_processor_compute_the_same(warm_path):
    here, there = (
        run(warm_path, "-m", "tests.pretended_parts", device, device=device)
        for device in ("cpu", NAME)
    )
    assert [*apart(here, there)] == []
    assert [*apart(here, {**there, "gate": there["gate"] + 0.01})] != []
    assert there["left_alone"][0] == ["cpu"]
