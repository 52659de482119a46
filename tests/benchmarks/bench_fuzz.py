"""Mutated inputs of every kind before the verbs that read them: worked, named error or fault.

    python tests/benchmarks/bench_fuzz.py [--inputs 10000] [--processes 48] [--out fuzz.json]

Tiny random models; the same inputs in every run. A fault is a traceback, anything but one JSON
value on stdout, another exit code than 0, 1 or 2, more than 10 s, or a file opened outside of the
registry and the inputs. Some inputs are run as processes of their own. Any fault fails.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fuzz.targets import TARGETS, Fuzzer, build

SAID = ("worked", "named error", "fault")


def main() -> int:
    """Prints the counts of each target; 1 where there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="of all targets together")
    parser.add_argument("--processes", type=int, default=48, help="of them as processes")
    parser.add_argument("--target", nargs="*", default=[*TARGETS], help="kinds of input")
    parser.add_argument("--out", type=Path, help="a JSON file for counts and faults")
    options = parser.parse_args()
    each = -(-options.inputs // len(options.target))
    alone = min(each, -(-options.processes // len(options.target)))
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(build(Path(folder) / "scene"))
        for name in options.target:
            began = time.monotonic()
            for number in range(each):
                fuzzer.run(name, number, process=number < alone)
            counts = [f"{fuzzer.outcomes[name, said]} {said}" for said in SAID]
            print(f"{name}: {', '.join(counts)}; {time.monotonic() - began:.0f} s", flush=True)
    totals = {said: sum(fuzzer.outcomes[name, said] for name in options.target) for said in SAID}
    print("total:", ", ".join(f"{totals[said]} {said}" for said in SAID))
    for fault in fuzzer.faults:
        print(fault)
    if options.out:
        rows = {name: {s: fuzzer.outcomes[name, s] for s in SAID} for name in options.target}
        options.out.write_text(json.dumps({"counts": rows, "faults": fuzzer.faults}, indent=1))
    return int(bool(fuzzer.faults))


if __name__ == "__main__":
    sys.exit(main())
