"""One view of every frozen language model: windows in, rows of hidden states out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from transplant.backbones.configuration import hash_config
from transplant.backbones.fingerprint import hash_parameters, hash_resident, hash_tokenizer
from transplant.backbones.split_head import SplitHead
from transplant.backbones.spread import require_weights
from transplant.backbones.states import RowTokens, States
from transplant.errors import InputError
from transplant.text.windows import Window

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Backbone(ABC):
    """A frozen language model from `transformers`.

    Args:
        name: what users call it: a registry name, a folder or a hub id.
        model: the model, in evaluation mode; its parameters are frozen here.
        tokenizer: a fast tokenizer with character offsets.
        revision: the hub revision, where there is one.
        weights_sha256: the hash of the weights as stored; computed where it is not given.
        tokenizer_sha256: the hash of the tokenizer; likewise.
        config_sha256: the hash of the configuration; likewise.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        *,
        revision: str | None = None,
        weights_sha256: str | None = None,
        tokenizer_sha256: str | None = None,
        config_sha256: str | None = None,
    ) -> None:
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.revision = revision
        self.weights_sha256 = weights_sha256 or hash_parameters(model)
        self.tokenizer_sha256 = tokenizer_sha256 or hash_tokenizer(tokenizer)
        self.config_sha256: str | None = config_sha256 or hash_config(model.config)
        self.notes: list[str] = []  # what was odd about its files, but does no harm

    @property
    def family(self) -> str:
        """The model type, as its configuration names it."""
        return self.model.config.model_type

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.unembedding.device

    @property
    def dtype(self) -> torch.dtype:
        """The type in which it computes: that of its hidden states."""
        return self.model.get_output_embeddings().weight.dtype

    @property
    def unembedding(self) -> Tensor:
        """The head's matrix [vocab, d_model], as it acts on `h_last` (scalings inside)."""
        return self.model.get_output_embeddings().weight

    @property
    def d_model(self) -> int:
        """The width of `h_last`."""
        return self.unembedding.shape[1]

    @property
    def vocab_size(self) -> int:
        """The number of logits."""
        return self.unembedding.shape[0]

    @property
    def padding_rows(self) -> list[int]:
        """Rows of a padded head that stand for no token of the tokenizer; most heads have none."""
        return [*range(len(self.tokenizer), self.vocab_size)]

    @property
    @abstractmethod
    def n_layers(self) -> int:
        """The number of layers; the taps are 0 (embeddings) to `n_layers`."""

    @property
    @abstractmethod
    def context(self) -> int:
        """The longest window in tokens."""

    @abstractmethod
    def rows_of(self, window: Window) -> RowTokens:
        """What `read` will say of each row of a window, without running anything."""

    @property
    def prefix(self) -> list[int]:
        """Tokens that the model reads before every text."""
        return []

    @property
    def skipped(self) -> int:
        """Positions that the model reads before the first row of a window."""
        return len(self.prefix)

    @torch.no_grad()
    def read(self, windows: Sequence[Window], taps: Iterable[int] = ()) -> States:
        """Runs the windows and returns the rows of all of them, without gradients."""
        return self.run(windows, taps)

    @abstractmethod
    def run(self, windows: Sequence[Window], taps: Iterable[int] = ()) -> States:
        """The same with gradients, for what works inside the backbone and is trained there."""

    @abstractmethod
    def reader(self) -> nn.Module:
        """The submodule whose `last_hidden_state` the head reads."""

    def head(self, h_last: Tensor) -> Tensor:
        """The logits [..., vocab] of hidden states [..., d_model] in any type, in its own."""
        return self.model.get_output_embeddings()(h_last.to(self.dtype))

    @property
    def soft_cap(self) -> float | None:
        """The bound b of logits b tanh(l / b), where the head has one."""
        return None

    @property
    def head_bias(self) -> Tensor | None:
        """What the head adds to its products [vocab], where it adds something."""
        return getattr(self.model.get_output_embeddings(), "bias", None)

    @property
    def split_head(self) -> SplitHead | None:
        """The head as what can be computed in pieces; None for one that is no plain matrix.

        Nor is one that a hook changes, as that of an adapter at work on it.
        """
        module = self.model.get_output_embeddings()
        plain = type(module) is nn.Linear and module.weight.is_floating_point()
        hooked = plain and (module._forward_hooks or module._forward_pre_hooks)
        if not plain or hooked or module.weight.is_meta:
            return None
        return SplitHead(self.unembedding, module.bias, self.soft_cap)

    @property
    def all_taps(self) -> tuple[int, ...]:
        """The taps that are as wide as `h_last`; all of them, but in OPT-350m and its like."""
        width = getattr(self.model.config, "hidden_size", self.d_model)
        last = self.n_layers
        return tuple(range(last + 1)) if width == self.d_model else (last,)

    def check_taps(self, taps: Iterable[int]) -> tuple[int, ...]:
        """Returns the taps sorted, with negative ones counted from the last (-1 is the last).

        Raises:
            InputError: a tap is out of range or named twice.
        """
        chosen = tuple(sorted(tap + self.n_layers + 1 if tap < 0 else tap for tap in taps))
        if not chosen or len(set(chosen)) < len(chosen):
            raise InputError("`taps`", expected="one or more, each once", found=list(chosen))
        if not set(chosen) <= set(self.all_taps):
            raise InputError(
                f"`taps`: {self.name} has no such tap",
                expected=f"of {list(self.all_taps)} (0 is the embeddings)",
                found=list(chosen),
            )
        return chosen

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Holds the block to the promise that it leaves every weight as it was."""
        before = hash_resident(self.model)
        yield
        if hash_resident(self.model) != before:
            raise AssertionError(f"the weights of {self.name} changed inside a frozen block")

    def require_weights(self, what: str) -> None:
        """Refuses `what`, which needs all of its weights in memory, where some are on the disk.

        Raises:
            BackboneError: naming it.
        """
        require_weights(self.model, self.name, what)

    def _pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Right-pads token ids: (ids, mask), both [batch, longest]."""
        longest = max(map(len, rows))
        fill: Any = self.tokenizer.pad_token_id or 0
        ids = torch.full((len(rows), longest), fill, dtype=torch.long)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
        return ids.to(self.device), mask.to(self.device)
