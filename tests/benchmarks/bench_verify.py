"""Runs `abi verify` as a user does: every shipped number again, in under a minute.

    python tests/benchmarks/bench_verify.py

One thread. Exits 1 where a number is not reproduced, or where it takes 60 s or more of the
processor; on an idle core that is the time on the clock.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ABI = str(Path(sys.executable).with_name("abi"))
MOST_SECONDS = 60.0


def main() -> int:
    """Prints the verdict and both times."""
    began = time.monotonic()
    command = [ABI, "verify", "--json", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=environment)
    clock = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    report = json.loads(ran.stdout)
    numbers = [number for move in report["moves"] for number in move["numbers"]]
    reproduced = sum(number["agrees"] for number in numbers)
    print(f"{report['verdict']}: {reproduced} of {len(numbers)} numbers reproduced")
    print(f"{processor:.1f} s of the processor, {clock:.1f} s on the clock")
    return 0 if ran.returncode == 0 and processor < MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
