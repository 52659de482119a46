"""A paste loads neither torch nor a model, and takes little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.paste.pasted import MakeCore


def in_python(code: str, *args: str) -> str:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_import_is_light() -> None:
    code = (
        "import sys, transplant.paste.paste;"
        "heavy = {'torch', 'numpy', 'safetensors', 'transformers', 'mmap'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert in_python(code) == "[]"


PASTE = """
import sys
from pathlib import Path
from transplant.paste.paste import paste, plan_paste

def peak():  # ru_maxrss would count what the parent held when it forked
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

source, target, out = map(Path, sys.argv[1:])
peaks = [peak()]
paste(plan_paste(source, target), out)
peaks.append(peak())
(target / "model.safetensors").read_bytes()
print(*peaks, peak())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_target(make_core: MakeCore, tmp_path: Path) -> None:
    source = make_core("source", ["python"])
    peaks: list[int] = []
    for megabytes in (60, 240):
        big = {"model.core.big": torch.zeros(megabytes, 1 << 18)}
        target = make_core(f"target-{megabytes}", change=lambda t, big=big: t.update(big))
        out = tmp_path / f"out-{megabytes}"
        told = in_python(PASTE, str(source), str(target), str(out))
        before, after, control = map(int, told.split())
        assert after - before < 15 * 1024
        assert control - after > (megabytes - 15) * 1024
        peaks.append(after)
    assert abs(peaks[1] - peaks[0]) < 15 * 1024
