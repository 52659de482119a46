"""How long `abi --help` takes: median of 5, and as a share of importing torch."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT_S, SHARE = 0.4, 1 / 3


def seconds(command: list[str]) -> float:
    """Wall time of one run."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> int:
    """Runs both in turn, so that a slow moment of the machine hits both."""
    abi = [str(Path(sys.executable).with_name("abi")), "--help"]
    torch = [sys.executable, "-c", "import torch"]
    seconds(abi), seconds(torch)  # warm the disk cache
    pairs = [(seconds(abi), seconds(torch)) for _ in range(5)]
    ours = statistics.median(a for a, _ in pairs)
    share = statistics.median(a / b for a, b in pairs)
    print(f"abi --help {ours:.3f} s (limit {LIMIT_S}); of importing torch {share:.2f} (limit 1/3)")
    return 0 if ours < LIMIT_S and share <= SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
