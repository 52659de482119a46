"""A training step behind a wide head, against the head's matrix products alone.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_head.py [--shapes 65536:256,262144:640]

The backbone's states are random and kept, as `train` keeps them: a step is the correction, the
loss, both backward passes and AdamW. The products alone are `hidden @ weight'` and `(a matrix of
that shape) @ weight`, in the type and in the blocks of the step, into memory that is there, and
once more without blocks of rows; the faster of the two counts. Both take turns, and the median of
the ratios is held to a limit. Seconds are of the processor where there is one thread, and of the
clock where there are more. Exits 1 above the limit.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transplant.backbones.arithmetic import multiplies, name_of
from transplant.backbones.split_head import SplitHead
from transplant.backbones.states import States
from transplant.modules.correction import Correction
from transplant.training.config import TrainConfig
from transplant.training.loop import new_correction
from transplant.training.losses import WIDE_ROWS, cross_entropy
from transplant.training.optimizer import make_adamw, take_step

LIMIT = 1.5
SHAPES = "65536:256,131072:512,262144:640"
SPREAD = 3.0  # standard deviation of the logits, in nats


class Frozen:
    """Stands in for a backbone: a head is all that a step on kept states asks of it."""

    def __init__(self, head: SplitHead) -> None:
        self.split_head, self.vocab_size = head, head.vocab
        self.d_model, self.device = head.weight.shape[1], head.weight.device


class Step:
    """A step of `train` on kept states."""

    def __init__(self, head: SplitHead, rows: int, matmul: torch.dtype) -> None:
        draw = torch.Generator().manual_seed(1)
        d_model, config = head.weight.shape[1], TrainConfig()
        hidden = torch.randn(rows, d_model, generator=draw).to(head.weight.dtype)
        labels = torch.randint(head.vocab, (rows,), generator=draw)
        none = torch.zeros(rows, dtype=torch.long)
        self.states, self.matmul, self.clip = (
            States({1: hidden}, hidden, labels, none, none), matmul, config.clip,
        )  # fmt: skip
        self.backbone: Any = Frozen(head)
        self.correction: Correction = new_correction(d_model, config.d_abi, (1,), 0).train()
        self.optimizer = make_adamw(
            self.correction.parameters(), config.learning_rate, config.weight_decay, (0.9, 0.98)
        )

    def __call__(self) -> None:
        """Takes it."""
        loss = cross_entropy(self.backbone, self.states, self.correction, self.matmul)
        loss.backward()
        take_step([self.optimizer], [*self.correction.parameters()], self.clip, 0)


class Products:
    """The two products of a head, and nothing else."""

    def __init__(self, head: SplitHead, rows: int, dtype: torch.dtype, block: int) -> None:
        self.pieces = [head.weight[tokens].to(dtype) for tokens in head.pieces()]
        self.rows = torch.randn(rows, head.weight.shape[1]).to(dtype).split(block)
        size = min(block, rows)
        self.logits = torch.empty(size, len(self.pieces[0]), dtype=dtype)
        self.pulled = torch.empty(size, head.weight.shape[1], dtype=dtype)

    def __call__(self) -> None:
        """Multiplies."""
        for rows in self.rows:
            for piece in self.pieces:
                logits = self.logits[: len(rows), : len(piece)]
                torch.mm(rows, piece.T, out=logits)
                torch.mm(logits, piece, out=self.pulled[: len(rows)])


def seconds(work: Callable[[], None]) -> float:
    """Of one thread those of the processor, which other work on the machine disturbs less."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    began = clock()
    work()
    return clock() - began


def measure(head: SplitHead, rows: int, matmul: torch.dtype, repeats: int) -> dict[str, Any]:
    """The median of the ratios, and what they are made of."""
    dtype = matmul if head.weight.dtype == torch.float32 else head.weight.dtype
    step = Step(head, rows, matmul)
    alone = [Products(head, rows, dtype, block) for block in (WIDE_ROWS, rows)]
    for work in (step, *alone):
        work()  # memory is touched, and code is loaded
    pairs: list[tuple[float, float]] = []
    for turn in range(repeats):
        order = [step, *alone] if turn % 2 else [*alone, step]
        took = {id(work): seconds(work) for work in order}
        pairs.append((took[id(step)], min(took[id(work)] for work in alone)))
    ratios = sorted(one / other for one, other in pairs)
    vocab, d_model = head.weight.shape
    return {
        "vocab": vocab, "d_model": d_model, "rows": rows, "weights": name_of(head.weight.dtype),
        "products": name_of(dtype), "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "seconds_step": round(statistics.median(one for one, _ in pairs), 3),
        "seconds_products": round(statistics.median(other for _, other in pairs), 3),
        "gflops": round(4e-9 * rows * vocab * d_model / min(other for _, other in pairs), 1),
    }  # fmt: skip


def random_head(vocab: int, d_model: int, dtype: torch.dtype) -> SplitHead:
    """Rows of such a length that logits of normal states have `SPREAD`."""
    draw = torch.Generator().manual_seed(0)
    weight: Tensor = torch.randn(vocab, d_model, generator=draw)
    return SplitHead((weight * (SPREAD / d_model**0.5)).to(dtype))


def main() -> int:
    """Prints a line of JSON for each shape and type."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shapes", default=SHAPES, help="vocab:d_model, several by commas")
    parser.add_argument("--rows", type=int, default=1024, help="token positions of a step")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--types", default="float32,bfloat16,mixed", help="mixed: bfloat16 products"
    )
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    exact, half = torch.float32, torch.bfloat16
    known = {"float32": (exact, exact), "bfloat16": (half, half), "mixed": (exact, half)}
    types = [known[name] for name in given.types.split(",")]
    if not multiplies(torch.device("cpu"), half):
        types = [pair for pair in types if half not in pair]
    found = []
    for shape in given.shapes.split(","):
        vocab, d_model = map(int, shape.split(":"))
        for stored, matmul in types:
            head = random_head(vocab, d_model, stored)
            found.append(measure(head, given.rows, matmul, given.repeats))
            print(json.dumps(found[-1]), flush=True)
            del head
            gc.collect()
    report = {"threads": torch.get_num_threads(), "limit": LIMIT, "heads": found}
    if given.out is not None:
        given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(one["ratio"] > LIMIT for one in found))


if __name__ == "__main__":
    raise SystemExit(main())
