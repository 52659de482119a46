"""Several processes at one job, as `torchrun` and `accelerate launch` start them.

Each takes its share of the documents; sums and pieces are exchanged through `torch.distributed`
(gloo, on the CPU, also where the models are on a GPU: what is exchanged is small). Only what runs
inside `Ranks.together` is shared: a program with a process group of its own that calls the library
from one process alone waits for nobody.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

from transplant.errors import InputError, TransplantError, foreign

if TYPE_CHECKING:
    from torch import Tensor

WAIT = timedelta(hours=6)  # for a process that still writes or fits; one that has ended is noticed
ADVICE = "torchrun or accelerate launch, which set both"


@dataclass(frozen=True)
class Ranks:
    """Which process this is, of how many."""

    number: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        """Refuses a number that no launcher gives."""
        if not 0 <= self.number < self.count:
            raise InputError(
                "RANK and WORLD_SIZE", expected=f"0 <= RANK < WORLD_SIZE, set by {ADVICE}",
                found=f"{self.number} of {self.count}",
            )  # fmt: skip

    @classmethod
    def of_environment(cls) -> Ranks:
        """What the launcher says; without one, the first of one.

        Raises:
            InputError: what it says are no numbers, or none of a process.
        """
        with foreign("RANK and WORLD_SIZE", InputError, expected=f"numbers, set by {ADVICE}"):
            return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.number == 0

    @property
    def on_machine(self) -> int:
        """The number of this process among those of its machine; all are, if nobody says."""
        with foreign("LOCAL_RANK", InputError, expected=f"a number, set by {ADVICE}"):
            return int(os.environ.get("LOCAL_RANK", self.number))

    @contextmanager
    def together(self) -> Iterator[Ranks]:
        """What runs in the block is shared among the processes; all of them must enter it.

        Raises:
            TransplantError: the processes do not find one another.
        """
        if self.count == 1:
            yield self
            return
        from torch import distributed

        with foreign("the processes of this run do not meet", TransplantError, hint=ADVICE):
            distributed.init_process_group("gloo", timeout=WAIT)
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)
            distributed.destroy_process_group()

    def share(self, sizes: Sequence[int]) -> range:
        """This process's items, in one piece; the pieces of all follow one another.

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

    def turns(self, items: int) -> range:
        """This process's items, where they are dealt out in turns."""
        return range(self.number, items, self.count)

    def wait(self) -> None:
        """Returns when every process is here."""
        if self.count > 1:
            from torch import distributed

            with _others():
                distributed.barrier()

    def sum(self, *tensors: Tensor) -> None:
        """Adds up, in place, what every process has of each tensor; shapes are equal."""
        if self.count == 1:
            return
        from torch import distributed

        for tensor in tensors:
            here = tensor.detach().cpu()
            with _others():
                distributed.all_reduce(here)
            if here.data_ptr() != tensor.data_ptr():
                tensor.copy_(here)

    def largest(self, number: int) -> int:
        """The largest of a number over all processes."""
        if self.count == 1:
            return number
        import torch
        from torch import distributed

        most = torch.tensor(number)
        with _others():
            distributed.all_reduce(most, distributed.ReduceOp.MAX)
        return int(most)

    def total(self, *numbers: float) -> list[float]:
        """The sums of numbers over all processes, in double precision."""
        if self.count == 1:
            return [*numbers]
        import torch

        sums = torch.tensor(numbers, dtype=torch.float64)
        self.sum(sums)
        return sums.tolist()

    def collect(
        self, items: int, mine: Mapping[int, Mapping[str, Tensor]]
    ) -> list[dict[str, Tensor]]:
        """The tensors of all items, in order, on the CPU, in every process.

        Args:
            items: how many there are, dealt out as `turns` does.
            mine: the tensors of this process's items, by number.
        """
        if self.count == 1:
            return [dict(mine[item]) for item in range(items)]
        return [self._sent(item % self.count, mine.get(item)) for item in range(items)]

    def from_first(self, texts: Sequence[str]) -> list[str]:
        """What the first process has of some texts, in every process; the others may have none."""
        if self.count == 1:
            return [*texts]
        import torch

        raw = torch.frombuffer(bytearray(json.dumps([*texts]).encode()), dtype=torch.uint8)
        return json.loads(bytes(self._sent(0, {"texts": raw})["texts"].tolist()))

    def _sent(self, owner: int, tensors: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """Named tensors of one process: their names, types and shapes as JSON, then their bytes."""
        import torch
        from torch import distributed

        def send(values: Tensor) -> Tensor:
            with _others():
                distributed.broadcast(values, owner)
            return values

        held = {name: t.detach().cpu().contiguous() for name, t in (tensors or {}).items()}
        facts = [[n, str(t.dtype).removeprefix("torch."), list(t.shape)] for n, t in held.items()]
        text = torch.frombuffer(bytearray(json.dumps(facts).encode()), dtype=torch.uint8)
        length = int(send(torch.tensor(len(text))))
        text = send(text if owner == self.number else torch.empty(length, dtype=torch.uint8))
        found: dict[str, Tensor] = {}
        for name, dtype, shape in json.loads(bytes(text.tolist())):
            empty = torch.empty(shape, dtype=getattr(torch, dtype))
            found[name] = held[name] if owner == self.number else empty
            if found[name].numel():
                send(found[name].view(-1).view(torch.uint8))
        return found


ALONE = Ranks()
_current: ContextVar[Ranks] = ContextVar("ranks", default=ALONE)


def current() -> Ranks:
    """The processes that share what runs here; `ALONE` outside of `Ranks.together`."""
    return _current.get()


@contextmanager
def _others() -> Iterator[None]:
    with foreign("another process of this run has stopped", TransplantError, hint="see its error"):
        yield
