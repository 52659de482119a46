"""Held-out likelihood per document, for several corrections in one pass of the backbone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from transplant.backbones.states import States
from transplant.backbones.token_losses import token_losses
from transplant.backbones.view import Backbone
from transplant.evaluation.from_nats import perplexity_of
from transplant.progress import Progress
from transplant.ranks import Ranks, current
from transplant.text.windows import Window, batches

Block = tuple[States, Tensor]  # rows of some windows, and each window's document


class Corrector(Protocol):
    """Anything that turns the hidden states of its taps into a correction."""

    @property
    def taps(self) -> tuple[int, ...]:
        """The taps it reads."""
        ...

    def __call__(self, taps: Mapping[int, Tensor], windows: Tensor | None, /) -> Tensor:
        """The correction [rows, d_model]; `windows` [rows] says which window each row is of."""
        ...


@runtime_checkable
class Inside(Protocol):
    """Anything that changes the backbone before its last hidden state, as a LoRA does."""

    @property
    def corrector(self) -> Corrector | None:
        """What is added to the last hidden state besides."""
        ...

    def inside(self) -> AbstractContextManager[None]:
        """Has it at work in the block."""
        ...


System = Corrector | Inside | None
"""What is scored; `None` is the raw backbone."""


@dataclass(frozen=True)
class Likelihood:
    """Negative log-likelihood in nats and number of predicted tokens, document by document."""

    nats: Tensor  # [documents], float64
    tokens: Tensor  # [documents], float64

    @property
    def per_token(self) -> float:
        """Mean nats per predicted token."""
        return float(self.nats.sum() / self.tokens.sum())

    @property
    def perplexity(self) -> float:
        """exp of the mean nats per token."""
        return perplexity_of(self.per_token)


@torch.no_grad()
def score_documents(
    backbone: Backbone,
    windows: Sequence[Window],
    systems: Mapping[str, System],
    *,
    progress: Progress | None = None,
) -> dict[str, Likelihood]:
    """Scores every system on the same windows; `None` is the raw backbone.

    The backbone runs once for all corrections: each is added and the head runs once for it. For
    what works inside the backbone it runs again. Of several processes each reads its share of the
    windows; all have the scores of all.

    Args:
        backbone: the frozen language model.
        windows: held-out windows.
        systems: by name.
        progress: called after each batch.
    """
    behind = {name: one for name, one in systems.items() if not isinstance(one, Inside)}
    passes: list[tuple[AbstractContextManager[None], Mapping[str, Corrector | None]]] = []
    if behind:
        passes.append((nullcontext(), behind))
    for name, one in systems.items():
        if isinstance(one, Inside):
            passes.append((one.inside(), {name: one.corrector}))
    found: dict[str, Likelihood] = {}
    for number, (at_work, some) in enumerate(passes):

        def told(step: int, total: int, note: str, number: int = number) -> None:
            if progress is not None:
                progress(number * total + step, len(passes) * total, note)

        with at_work:
            found |= _score(backbone, windows, some, told)
    return {name: found[name] for name in systems}


def _score(
    backbone: Backbone,
    windows: Sequence[Window],
    systems: Mapping[str, Corrector | None],
    progress: Progress,
) -> dict[str, Likelihood]:
    """The same of corrections, in one pass of the backbone."""
    taps = {tap for system in systems.values() if system is not None for tap in system.taps}
    for system in systems.values():
        if isinstance(system, nn.Module):
            system.to(backbone.device)

    mine = [windows[index] for index in current().turns(len(windows))]

    def read() -> Iterator[Block]:
        done = 0
        for batch in batches(mine):
            states = backbone.read([mine[index] for index in batch], sorted(taps)).labelled()
            yield states, torch.tensor([mine[index].document for index in batch])
            done += len(batch)
            progress(done, len(mine), "windows")

    return score_rows(backbone, read(), systems)


@torch.no_grad()
def score_rows(
    backbone: Backbone, blocks: Iterable[Block], systems: Mapping[str, Corrector | None]
) -> dict[str, Likelihood]:
    """Scores every system on rows that have been read already: only the head runs.

    Args:
        backbone: whose head it is.
        blocks: labelled rows of some windows, and the document [windows] of each of these; of
            several processes, of the windows that are this one's turn.
        systems: corrections by name; `None` is the raw backbone.
    """
    tally = Tally(systems)
    for states, documents in blocks:
        tally.add(
            documents[states.windows.cpu()],
            {name: row_losses(backbone, states, system) for name, system in systems.items()},
        )
    tally.add_up(current())
    return tally.likelihoods()


def row_losses(backbone: Backbone, states: States, system: Corrector | None) -> Tensor:
    """What each row's next token costs a system, in nats [rows]."""
    hidden = states.h_last
    if system is not None:
        hidden = hidden + system(states.taps, states.windows)
    return token_losses(backbone, hidden, states.labels)


class Tally:
    """Adds the losses of rows up, document by document, for several systems at once.

    Args:
        names: of the systems.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._tokens = torch.zeros(0, dtype=torch.float64)
        self._nats = {name: torch.zeros(0, dtype=torch.float64) for name in names}

    def add(self, documents: Tensor, losses: Mapping[str, Tensor]) -> None:
        """Takes in the losses [rows] of every system, and the document [rows] of each."""
        self._make_room(int(documents.max()) + 1)
        self._tokens.index_add_(0, documents, torch.ones(len(documents), dtype=torch.float64))
        for name, sums in self._nats.items():
            sums.index_add_(0, documents, losses[name].double().cpu())

    def add_up(self, ranks: Ranks) -> None:
        """Takes in what the other processes have counted."""
        self._make_room(ranks.largest(len(self._tokens)))
        ranks.sum(self._tokens, *self._nats.values())

    def _make_room(self, documents: int) -> None:
        more = documents - len(self._tokens)
        if more > 0:
            unseen = torch.zeros(more, dtype=torch.float64)
            self._tokens = torch.cat([self._tokens, unseen])
            self._nats = {name: torch.cat([sums, unseen]) for name, sums in self._nats.items()}

    def likelihoods(self) -> dict[str, Likelihood]:
        """Of every system, on the documents that were seen."""
        seen = self._tokens > 0
        tokens = self._tokens[seen]
        return {name: Likelihood(sums[seen], tokens) for name, sums in self._nats.items()}
