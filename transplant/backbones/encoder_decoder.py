"""Encoder-decoder language models, run as prefix LMs: T5."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from transplant.backbones.states import RowTokens, States, gather_rows
from transplant.backbones.view import Backbone
from transplant.text.windows import Window


class PrefixBackbone(Backbone):
    """The encoder reads the first half of a window and the decoder predicts the second.

    Row j has read the first half and j tokens of the second. With the whole window in the encoder
    the decoder would have nothing left to predict.
    """

    @property
    def n_layers(self) -> int:
        """The number of decoder layers: the taps are the decoder's."""
        config = self.model.config
        return getattr(config, "num_decoder_layers", None) or config.num_layers

    @property
    def context(self) -> int:
        """The longest window in tokens: T5's positions are relative, so the tokenizer's limit."""
        return min(int(self.tokenizer.model_max_length), 2048)

    @property
    def output_scale(self) -> float:
        """T5 with tied embeddings scales the hidden state before its head."""
        return self.d_model**-0.5 if self.model.config.scale_decoder_outputs else 1.0

    @property
    def d_model(self) -> int:
        """The width of the decoder."""
        return self.model.config.d_model

    @property
    def unembedding(self) -> Tensor:
        """The head's matrix [vocab, d_model] with the scaling inside."""
        return self.model.get_output_embeddings().weight * self.output_scale

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.get_output_embeddings().weight.device

    def rows_of(self, window: Window) -> RowTokens:
        """A row for each token of the second half; the first one has read the first half."""
        half = len(window) // 2
        labels = window.ids[half:]
        start = self.model.config.decoder_start_token_id
        return RowTokens([start, *labels[:-1]], labels, window.ends[half - 1 : -1])

    def run(self, windows: Sequence[Window], taps: Iterable[int] = ()) -> States:
        """Runs the windows and returns one row for each token of their second halves."""
        wanted = tuple(taps)
        halves = [len(window) // 2 for window in windows]
        prefix, prefix_mask = self._pad([w.ids[:h] for w, h in zip(windows, halves, strict=True)])
        rows = [*map(self.rows_of, windows)]
        ids, mask = self._pad([row.ids for row in rows])
        encoded = self.model.get_encoder()(input_ids=prefix, attention_mask=prefix_mask)
        output = self.reader()(
            input_ids=ids,
            attention_mask=mask,
            encoder_hidden_states=encoded.last_hidden_state,
            encoder_attention_mask=prefix_mask,
            use_cache=False,
            output_hidden_states=any(tap != self.n_layers for tap in wanted),
        )
        place = self.device  # of the head; the layers may be elsewhere
        h_last = output.last_hidden_state.to(place)
        hidden = {
            tap: h_last if tap == self.n_layers else output.hidden_states[tap].to(place)
            for tap in wanted
        }
        return gather_rows(hidden, h_last, mask, rows)

    def reader(self) -> nn.Module:
        """The decoder."""
        return self.model.get_decoder()

    def head(self, h_last: Tensor) -> Tensor:
        """The logits, with T5's scaling."""
        return super().head(h_last * self.output_scale)
