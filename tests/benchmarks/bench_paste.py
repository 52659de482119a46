"""Cost of a paste: memory for every size of the target, and speed against `cp` with fsync.

    python tests/benchmarks/bench_paste.py [--pairs 7]

Makes untrained cores in a temporary registry (about 3 GB of disk). Both sides of a pair write the
same bytes and flush them, from files that were just read: what is compared is copying, not what the
page cache happens to hold. The order alternates, and the files are removed and the disk is flushed
before the next run. Exits 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from transplant.paste.paste import paste, plan_paste

ABI = str(Path(sys.executable).with_name("abi"))
TARGETS = ("48M", "150M", "350M")
MEMORY_MIB, GROWTH_MIB, SHARE = 400, 16, 0.7  # the goals; growth: from the first target to the last

SETTLE_S = 3  # freeing the blocks of a removed file slows down whoever writes next


def resident_mib(command: list[str]) -> float:
    """The peak resident set of a command; this process is smaller than any of them."""
    pid = os.spawnv(os.P_NOWAIT, command[0], command)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_maxrss / 1024


def warm(*folders: Path) -> None:
    """Reads the weights once."""
    for file in (file for folder in folders for file in folder.glob("*.safetensors")):
        with file.open("rb", buffering=0) as stream:
            while stream.read(1 << 20):
                pass


def copy_seconds(source: Path, out: Path) -> float:
    """`cp` of a file, and fsync."""
    began = time.perf_counter()
    subprocess.run(["cp", str(source), str(out)], check=True)
    with out.open("rb") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - began


def paste_seconds(source: Path, target: Path, out: Path) -> float:
    """Planning and pasting, in this process."""
    began = time.perf_counter()
    paste(plan_paste(source, target), out)
    return time.perf_counter() - began


def ratios(folder: Path, source: Path, target: Path, pairs: int) -> list[float]:
    """Seconds of `cp` over seconds of the paste, for the same bytes."""
    model = folder / "model.safetensors"
    paste(plan_paste(source, target), folder / "first")
    os.rename(folder / "first" / "model.safetensors", model)
    shutil.rmtree(folder / "first")
    found = []
    for pair in range(pairs + 1):
        seconds = {}
        for side in ("cp", "paste") if pair % 2 else ("paste", "cp"):
            out = folder / side
            warm(*((folder,) if side == "cp" else (source, target)))
            seconds[side] = (
                copy_seconds(model, out) if side == "cp" else paste_seconds(source, target, out)
            )
            out.unlink() if out.is_file() else shutil.rmtree(out)
            os.sync()
            time.sleep(SETTLE_S)
        if pair:  # the first warms the page cache
            found.append(seconds["cp"] / seconds["paste"])
            print(f"  cp {seconds['cp']:.2f} s, paste {seconds['paste']:.2f} s", file=sys.stderr)
    return found


def main() -> int:
    """Measures, prints, and compares with the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), Path(name) / "registry"
        quiet = ("--quiet", "--json", "--registry", str(root))
        peaks = {}
        for target in TARGETS:
            out = str(folder / "out")
            # --replace: where both cores are one, its module is there already.
            again = [ABI, "paste", "--from", "48M", "--to", target, "--replace", *quiet]
            made = [*again, "--init-missing", "1", "--dry-run"]
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
            peaks[target] = resident_mib([*again, "--out", out])
            shutil.rmtree(out)
            print(f"48M -> {target:5} peak resident set {peaks[target]:.0f} MiB", flush=True)
        share = statistics.median(ratios(folder, root / "48M", root / "350M", pairs))
    growth = peaks[TARGETS[-1]] - peaks[TARGETS[0]]
    print(f"growth with the target {growth:.1f} MiB (limit {GROWTH_MIB})")
    print(f"throughput against cp and fsync {share:.2f}, median of {pairs} pairs (goal {SHARE})")
    return 0 if max(peaks.values()) < MEMORY_MIB and growth < GROWTH_MIB and share >= SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
