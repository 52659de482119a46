"""A donor that is a base and a tuned copy of it: what moves is the change of the logits.

Where both have one head U, but for rows of tokens that were added to one, the change is
U (h_tuned - h_base), of the form that a module's correction has. Where the heads differ, the change
is linear in both hidden states at once:

    [U_tuned, -U_base, b_tuned, b_base] . [h_tuned, h_base, 1, -1]

and the base's own logits are the same matrix times [0, -h_base, 0, 1]. All that reads a donor's
head and its corrections works on these vectors of width 2 d_model + 2 as it does on any others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from transplant.backbones.states import RowTokens, States
from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.modules.correction import Correction
from transplant.modules.hosted import HostedModel
from transplant.text.windows import Window

Head = tuple[Tensor, Tensor | None]
"""A matrix [vocab, d_model] and a bias [vocab]."""


class TunedPair(Backbone):
    """A base and its tuned copy, read together: an additional tap holds the change.

    Args:
        base: the frozen language model.
        tuned: the same with what it learned: a hosted model, or another backbone.
        tuned_head: the head of `tuned`, where it is not that of its backbone.
    """

    def __init__(self, base: Backbone, tuned: HostedModel, tuned_head: Head | None = None) -> None:
        super().__init__(
            base.name, base.model, base.tokenizer, revision=base.revision,
            weights_sha256=base.weights_sha256, tokenizer_sha256=base.tokenizer_sha256,
            config_sha256=base.config_sha256,
        )  # fmt: skip
        self.base, self.tuned = base, tuned
        ours, theirs = head_of(base), tuned_head or head_of(tuned.backbone)
        self.one_head = _same(ours, theirs)
        self._matrix = ours[0] if self.one_head else _joint(ours, theirs)

    @property
    def change_tap(self) -> int:
        """The number of the tap that holds the change: behind the last layer's."""
        return self.base.n_layers + 1

    @property
    def unembedding(self) -> Tensor:
        """The head's matrix [vocab, d_model], or that of both [vocab, 2 d_model + 2]."""
        return self._matrix

    @property
    def head_bias(self) -> Tensor | None:
        """That of the one head; of two heads it is in the matrix."""
        return self.base.head_bias if self.one_head else None

    @property
    def soft_cap(self) -> float | None:
        """The base's."""
        return self.base.soft_cap

    @property
    def device(self) -> torch.device:
        """Where the base is."""
        return self.base.device

    @property
    def n_layers(self) -> int:
        """The base's number of layers."""
        return self.base.n_layers

    @property
    def context(self) -> int:
        """The longest window that both read."""
        return min(self.base.context, self.tuned.backbone.context)

    def rows_of(self, window: Window) -> RowTokens:
        """The base's rows; the tuned copy has the same."""
        return self.base.rows_of(window)

    def run(self, windows: Sequence[Window], taps: Iterable[int] = ()) -> States:
        """Runs both; hidden states are as wide as `unembedding`."""
        wanted = tuple(taps)
        if not self.one_head and set(wanted) - {self.change_tap}:
            raise InputError("a pair of two heads has no layers of its own", found=[*wanted])
        states = self.base.run(windows, [tap for tap in wanted if tap != self.change_tap])
        if self.change_tap not in wanted:
            return states if self.one_head else self._with(states, None)
        corrector = self.tuned.corrector
        with self.tuned.inside():
            theirs = self.tuned.backbone.run(windows, () if corrector is None else corrector.taps)
        h_tuned = theirs.h_last.to(states.h_last.device)
        if corrector is not None:
            h_tuned = h_tuned + corrector(theirs.taps, theirs.windows).to(h_tuned.device)
        return self._with(states, h_tuned)

    def _with(self, states: States, h_tuned: Tensor | None) -> States:
        """States with the change, in single precision: it is a small difference."""
        h_base, taps = states.h_last.float(), dict(states.taps)
        rows, width = h_base.shape
        if self.one_head:
            h_last = states.h_last
            change = None if h_tuned is None else h_tuned.float() - h_base
        else:
            zero, one = h_base.new_zeros(rows, 1), h_base.new_ones(rows, 1)
            h_last = torch.cat([h_base.new_zeros(rows, width), -h_base, zero, one], dim=1)
            change = (
                None if h_tuned is None else torch.cat([h_tuned.float(), h_base, one, -one], dim=1)
            )
        if change is not None:
            taps[self.change_tap] = change
        return States(taps, h_last, states.labels, states.ends, states.windows)

    def reader(self) -> nn.Module:
        """The base's."""
        return self.base.reader()


class TunedDonor(HostedModel):
    """A base and a tuned copy of it as a donor; it writes and predicts as the tuned copy does.

    Args:
        name: what the tuned copy is called.
        pair: both.
        module: the interface and the domain module that are the tuned copy, where it is these, and
            their bytes may be moved as well: the layers that they read are kept.
    """

    def __init__(self, name: str, pair: TunedPair, module: Correction | None = None) -> None:
        super().__init__(name, pair)
        self.pair, self.module = pair, module

    @property
    def is_raw(self) -> bool:
        """Never."""
        return False

    @property
    def change_taps(self) -> tuple[int, ...]:
        """What `change` reads, and what the module reads."""
        return (self.pair.change_tap, *(() if self.module is None else self.module.taps))

    def change(self, taps: Mapping[int, Tensor]) -> Tensor:
        """The donor's correction [rows, width of the head], as it was read."""
        return taps[self.pair.change_tap]

    def forward(self, input_ids: Tensor, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The tuned copy's output."""
        return self.pair.tuned(input_ids, **options)

    def generate(self, *args: Any, **options: Any) -> Any:
        """The tuned copy's text."""
        return self.pair.tuned.generate(*args, **options)


def head_of(backbone: Backbone) -> Head:
    """The matrix of a backbone's head, and its bias."""
    return backbone.unembedding, backbone.head_bias


def _same(ours: Head, theirs: Head) -> bool:
    """Whether two heads are one at the tokens that both have: one may have rows that were added."""
    rows = min(len(ours[0]), len(theirs[0]))
    matrices = ours[0] is theirs[0]
    if not matrices:
        fits = ours[0].shape[1] == theirs[0].shape[1] and ours[0].dtype == theirs[0].dtype
        matrices = fits and torch.equal(ours[0][:rows], theirs[0][:rows].to(ours[0].device))
    biases = [_bias(head, rows) for head in (ours, theirs)]
    return matrices and torch.equal(biases[0].cpu(), biases[1].cpu())


def _joint(ours: Head, theirs: Head) -> Tensor:
    """[U_tuned, -U_base, b_tuned, b_base] of the tokens that both heads have, as exact as both."""
    vocab = min(len(ours[0]), len(theirs[0]))
    parts = [theirs[0][:vocab], -ours[0][:vocab]]
    parts += [_bias(head, vocab)[:, None] for head in (theirs, ours)]
    dtype, place = torch.promote_types(ours[0].dtype, theirs[0].dtype), ours[0].device
    return torch.cat([part.to(place, dtype) for part in parts], dim=1)


def _bias(head: Head, vocab: int) -> Tensor:
    matrix, bias = head
    return matrix.new_zeros(vocab) if bias is None else bias[:vocab]
