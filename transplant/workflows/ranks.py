"""Several processes at one job, as `torchrun` and `accelerate launch` start them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path


@dataclass(frozen=True)
class Rank:
    """Which process this is, of how many."""

    number: int
    count: int

    @classmethod
    def of_environment(cls) -> Rank:
        """What the launcher says; without one, the first of one."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    def share(self, sizes: Sequence[int]) -> range:
        """This rank's items, in one piece; the pieces of all ranks follow one another.

        Args:
            sizes: of all items; each piece gets about as much, and at least one item.
        """
        total, ends = sum(sizes), [0]
        for done, size in enumerate(accumulate(sizes), start=1):
            left = self.count - len(ends)  # pieces still to be begun
            if left and (size >= total * len(ends) / self.count or len(sizes) - done == left):
                ends.append(done)
        ends = [*ends, len(sizes)] if len(ends) <= self.count else ends
        return range(ends[self.number], ends[self.number + 1])

    def part_of(self, out: Path) -> Path:
        """Where this rank writes its piece of `out`."""
        return self.parts_of(out)[self.number]

    def parts_of(self, out: Path) -> list[Path]:
        """The pieces of `out`, in order; `out` itself where there is one process."""
        if self.count == 1:
            return [out]
        return [
            out.with_name(f"{out.stem}.rank{number}of{self.count}{out.suffix}")
            for number in range(self.count)
        ]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Waits for all ranks before the block; the others leave it when the first has."""
        if self.count == 1:
            yield
            return
        import torch.distributed as distributed

        distributed.init_process_group("gloo")
        try:
            distributed.barrier()
            yield
            distributed.barrier()
        finally:
            distributed.destroy_process_group()
