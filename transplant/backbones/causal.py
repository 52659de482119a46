"""Decoder-only language models: GPT-2, GPT-NeoX, Llama, Mistral, Qwen, Gemma, OPT and others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from transplant.backbones.split_head import capped
from transplant.backbones.states import NO_LABEL, RowTokens, States, gather_rows
from transplant.backbones.view import Backbone
from transplant.text.windows import Window


class CausalBackbone(Backbone):
    """A decoder-only model: row i has read tokens 0..i and predicts token i + 1."""

    @property
    def n_layers(self) -> int:
        """The number of decoder layers."""
        return self.model.config.get_text_config().num_hidden_layers

    @property
    def context(self) -> int:
        """The longest window in tokens, without the beginning-of-text token."""
        config = self.model.config.get_text_config()
        return getattr(config, "max_position_embeddings", 2048) - len(self.prefix)

    @property
    def prefix(self) -> list[int]:
        """The beginning-of-text token, where this tokenizer puts one before every text."""
        return self._prefix

    @cached_property
    def _prefix(self) -> list[int]:
        ids = self.tokenizer("").input_ids
        begin: Any = self.tokenizer.bos_token_id
        return [begin] if ids[:1] == [begin] and begin is not None else []

    def rows_of(self, window: Window) -> RowTokens:
        """A row for each token."""
        return RowTokens(window.ids, [*window.ids[1:], NO_LABEL], window.ends)

    def run(self, windows: Sequence[Window], taps: Iterable[int] = ()) -> States:
        """Runs the windows and returns one row for each of their tokens."""
        wanted = tuple(taps)
        skip = self.skipped
        ids, mask = self._pad([[*self.prefix, *window.ids] for window in windows])
        output = self.reader()(
            input_ids=ids,
            attention_mask=mask,
            use_cache=False,
            output_hidden_states=any(tap != self.n_layers for tap in wanted),
        )
        place = self.device  # of the head; the layers may be elsewhere
        h_last = output.last_hidden_state[:, skip:].to(place)
        hidden = {
            tap: h_last if tap == self.n_layers else output.hidden_states[tap][:, skip:].to(place)
            for tap in wanted
        }
        return gather_rows(hidden, h_last, mask[:, skip:], [*map(self.rows_of, windows)])

    def reader(self) -> nn.Module:
        """The decoder without its head: the module that the model itself calls."""
        return self.model.get_decoder()

    def head(self, h_last: Tensor) -> Tensor:
        """The logits, with the family's own scaling and soft cap."""
        logits = super().head(h_last)
        return logits if self.soft_cap is None else capped(logits, self.soft_cap)

    @property
    def soft_cap(self) -> float | None:
        """The bound on logits, as in Gemma 2."""
        return getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
