"""Kills: each verb ended by SIGKILL at drawn moments and at its file operations, then run again.

    python tests/benchmarks/bench_kills.py [--count 20] [--verb train paste] [--out kills.json]

Each verb runs on tiny random models in a forked child. After a kill nothing half-written may be
listed; the same command (with --resume where something can be resumed) must end in the files of a
run left alone: the same tensors, the same manifests but for times, nothing left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.damage.kills import VERBS, Killing, Trial, run_apart
from tests.damage.scene import Scene, build, keep


def main() -> int:
    """Prints a row for each verb; 1 where a kill left a trace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="moments, and file operations")
    parser.add_argument("--verb", nargs="*", default=[*VERBS], help="verbs to kill")
    parser.add_argument("--out", type=Path, help="a JSON file for every trial")
    options = parser.parse_args()
    found: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "scene"
        if run_apart(lambda: build(base) and 0):  # apart: this process keeps no threads
            raise SystemExit("the scene cannot be built")
        scene = Scene(base)
        kept = keep(scene)
        heads = ("operations", "trials", "killed", "resumed", "faults")
        print(f"{'verb':20}", *(f"{head:>10}" for head in heads))
        for verb in options.verb:
            killing = Killing(scene, kept, verb)
            trials = [killing.trial(kill) for kill in killing.moments(options.count)]
            counts = [sum(t.killed for t in trials), sum(t.resumed for t in trials)]
            faulty = [trial for trial in trials if trial.faults]
            row = (killing.operations, len(trials), *counts, len(faulty))
            print(f"{verb:20}", *(f"{number:10}" for number in row), flush=True)
            for trial in faulty:
                print(f"  ! {trial.kill}: {'; '.join(trial.faults)[:300]}")
            found.extend(trials)
    if options.out:
        options.out.write_text(json.dumps([asdict(trial) for trial in found], indent=1))
    return int(any(trial.faults for trial in found))


if __name__ == "__main__":
    sys.exit(main())
