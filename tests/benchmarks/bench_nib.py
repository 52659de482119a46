"""Times the NIB's four numbers against plain NumPy, and checks its memory.

    python tests/benchmarks/bench_nib.py [--json] [--threads 2]

5 chunks x 492 positions x 32,128 words in float32, two threads, the two sides interleaved. Exits 1
where the median speed-up is below 5, the numbers differ by more than 1e-5, or a NIB run grows the
process by more than one pair of chunks and a small allowance.

On a machine whose cores are taken, two threads spin while they wait for each other: measure there
with OMP_WAIT_POLICY=passive in the environment, or with one thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from transplant.evaluation.agreement import score_chunk
from transplant.evaluation.config import NIBConfig
from transplant.evaluation.nib import run_nib

CHUNKS, POSITIONS, VOCAB, SKIP = 5, 492, 32_128, 20
PAIRS = 5
LEAST_RATIO, MOST_DIFFERENCE = 5.0, 1e-5
ALLOWANCE_MIB = 32.0
MIB = 1 << 20

Numbers = list[float]


def numpy_scores(anchor: np.ndarray, candidate: np.ndarray) -> Numbers:
    """top5, top1, js and entropy in plain float32 NumPy, one exponential per side."""
    p, log_p = numpy_softmax(anchor)
    q, log_q = numpy_softmax(candidate)
    log_m = np.log((p + q) / 2)
    js = ((p * (log_p - log_m)).sum(1) + (q * (log_q - log_m)).sum(1)) / 2
    gap = np.abs((p * log_p).sum(1) - (q * log_q).sum(1))
    ours = np.argpartition(anchor, -5, axis=1)[:, -5:]
    theirs = np.argpartition(candidate, -5, axis=1)[:, -5:]
    top5 = (ours[:, :, None] == theirs[:, None, :]).sum((1, 2)) / 5
    top1 = anchor.argmax(1) == candidate.argmax(1)
    return [float(x.mean()) for x in (top5, top1, js, gap)]


def numpy_softmax(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and their logarithms."""
    shifted = logits - logits.max(1, keepdims=True)
    exps = np.exp(shifted)
    total = exps.sum(1, keepdims=True)
    return exps / total, shifted - np.log(total)


def torch_scores(anchor: torch.Tensor, candidate: torch.Tensor) -> Numbers:
    """The same four numbers from the library."""
    score = score_chunk(anchor, candidate)
    return [score.top5, score.top1, score.js, score.entropy]


def make_logits(seed: int, positions: int, *, noise: float = 0.0) -> torch.Tensor:
    """[positions, VOCAB], filled row by row so that making them takes no memory of its own."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.empty(positions, VOCAB).normal_(0.0, 3.0, generator=generator)
    for row in logits if noise else ():
        row.add_(torch.randn(VOCAB, generator=generator), alpha=noise)
    return logits


def peak_mib() -> float:
    """The largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024


def measure_memory() -> tuple[float, float]:
    """How far a NIB run grows the process, and how far it may, in MiB."""
    length = POSITIONS + SKIP
    config = NIBConfig(chunks=CHUNKS, chunk_length=length, skip=SKIP, resamples=100)
    torch_scores(make_logits(0, 64), make_logits(1, 64))  # loads what is loaded lazily
    before = peak_mib()
    run_nib(
        [range(i, i + length) for i in range(CHUNKS)],
        lambda window: make_logits(window[0], length),
        lambda window: make_logits(window[0], length, noise=0.3),
        config,
    )
    return peak_mib() - before, 2 * length * VOCAB * 4 / MIB + ALLOWANCE_MIB


def timed(run: Callable[[], list[Numbers]]) -> tuple[float, list[Numbers]]:
    """Seconds, and what was returned."""
    start = time.perf_counter()
    numbers = run()
    return time.perf_counter() - start, numbers


def measure(threads: int) -> dict[str, float | bool]:
    """Runs everything; the memory first, as a process never takes its peak back."""
    torch.set_num_threads(threads)
    grown, allowed = measure_memory()
    chunks = [
        (make_logits(s, POSITIONS), make_logits(s, POSITIONS, noise=0.3)) for s in range(CHUNKS)
    ]
    arrays = [(a.numpy(), b.numpy()) for a, b in chunks]
    torch_scores(*chunks[0])
    ours, theirs, difference = [], [], 0.0
    for _ in range(PAIRS):
        seconds, mine = timed(lambda: [torch_scores(*pair) for pair in chunks])
        ours.append(seconds)
        seconds, plain = timed(lambda: [numpy_scores(*pair) for pair in arrays])
        theirs.append(seconds)
        difference = max(difference, float(np.abs(np.subtract(mine, plain)).max()))
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return {
        "threads": threads,
        "ratio": ratio,
        "seconds": statistics.median(ours),
        "numpy_seconds": statistics.median(theirs),
        "max_difference": difference,
        "grown_mib": grown,
        "allowed_mib": allowed,
        "pass": ratio >= LEAST_RATIO and difference <= MOST_DIFFERENCE and grown <= allowed,
    }


def main() -> int:
    """Prints the measurements; 0 where all three hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--threads", type=int, default=2, help="threads of the library's side")
    options = parser.parse_args()
    result = measure(options.threads)
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:>15}  {value if isinstance(value, bool) else format(value, '.6g')}")
    return 0 if result["pass"] else 1


if __name__ == "__main__":
    sys.exit(main())
