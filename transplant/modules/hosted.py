"""A hosted model: a frozen backbone, an interface and a domain module at work together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.view import Backbone
from transplant.errors import BackboneError, InputError, ShapeError
from transplant.modules.correction import Correction
from transplant.modules.gate import Gate, Gated, check_gate
from transplant.modules.gated_forward import gated_correction
from transplant.modules.positions import within_positions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from transplant.modules.linear import LinearCorrection


class HostedModel(nn.Module):
    """A backbone with a module attached, usable like any `transformers` model.

    `model(input_ids=...).logits` and `model.generate(...)` run the backbone's own code; a hook on
    its last hidden state adds the correction, and is gone when the call returns. With no
    correction it is the raw backbone.

    Args:
        name: `<module>@<backbone>`, or the backbone's name.
        backbone: the frozen language model.
        correction: interface and domain module, or None.
        gate: where the module is at work; None for everywhere.
    """

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        correction: Correction | None = None,
        gate: Gate | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.backbone = backbone
        self.language_model = backbone.model
        if correction is not None:
            if correction.interface.d_model != backbone.d_model:
                raise ShapeError(
                    f"the interface does not fit {backbone.name}",
                    expected=f"d_model {backbone.d_model}",
                    found=correction.interface.d_model,
                )
            backbone.check_taps(correction.taps)
            correction = correction.to(backbone.device).eval()
            if gate is not None:
                check_gate(correction, gate)
                gate = gate.to(backbone.device)
        self.correction = correction
        self.gate = gate
        self._corrected = False  # whether the hook fired in the last call

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The backbone's tokenizer."""
        return self.backbone.tokenizer

    @property
    def is_raw(self) -> bool:
        """Whether it is the backbone and nothing else."""
        return self.correction is None

    @property
    def corrector(self) -> Correction | Gated | LinearCorrection | None:
        """What is added to the last hidden state: the correction, where its gate is open."""
        if self.correction is None or self.gate is None:
            return self.correction
        return Gated(self.correction, self.gate)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Has at work what changes the backbone before its last hidden state: here nothing.

        For those who read hidden states themselves and add the correction to them.
        """
        yield

    def forward(self, input_ids: Tensor, **options: Any) -> Any:
        """The backbone's own output for `input_ids` [batch, seq], logits corrected.

        An encoder-decoder without `decoder_input_ids` runs as a prefix LM: its logits are those of
        the second half of the window.
        """
        if isinstance(self.backbone, PrefixBackbone) and "decoder_input_ids" not in options:
            options.update(self._prefix_inputs(input_ids, options.pop("attention_mask", None)))
        else:
            options["input_ids"] = input_ids
        return self._run(self.backbone.model, **options)

    def generate(self, *args: Any, **options: Any) -> Any:
        """The backbone's own `generate`, key-value cache and all, with the correction in place.

        The text ends where the model's positions do, if not before.

        Raises:
            InputError: the prompt leaves no position to write on.
        """
        model: Any = self.backbone.model
        return self._run(model.generate, *args, **within_positions(model.config, args, options))

    def _run(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self._corrected = False
        with self.attached():
            output = call(*args, **options)
        if not self.is_raw and not self._corrected:
            raise BackboneError(
                f"{self.backbone.name} did not call the module that {self.name} hangs on",
                expected=type(self.backbone.reader()).__name__,
                hint="open an issue with the model's id",
            )
        return output

    def _prefix_inputs(self, ids: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        half = ids.shape[1] // 2
        if half == 0:
            raise InputError("a prefix LM needs at least two tokens", found=ids.shape[1])
        start = torch.full_like(ids[:, :1], self.backbone.model.config.decoder_start_token_id)
        inputs = {
            "input_ids": ids[:, :half],
            "decoder_input_ids": torch.cat([start, ids[:, half:-1]], dim=1),
        }
        if mask is not None:
            inputs["attention_mask"] = mask[:, :half]
        return inputs

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Adds the correction to the backbone's last hidden state inside the block."""
        if self.corrector is None:
            yield
            return
        reader = self.backbone.reader()
        handles = [
            reader.register_forward_pre_hook(ask_for_hidden_states, with_kwargs=True),
            reader.register_forward_hook(self._correct, with_kwargs=True),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _correct(self, _reader: nn.Module, _args: Any, kwargs: Any, output: Any) -> Any:
        corrector = self.corrector
        assert corrector is not None
        self._corrected = True
        taps = self._taps_of(output, corrector.taps)
        if isinstance(corrector, Gated):
            correction = gated_correction(corrector, taps, kwargs, output.past_key_values)
        else:
            correction = corrector(taps)
        hidden = output.last_hidden_state.to(correction.device)
        output.last_hidden_state = hidden + correction.to(hidden.dtype)
        return output

    def _taps_of(self, output: Any, taps: Iterable[int]) -> dict[int, Tensor]:
        """The hidden states [batch, seq, d_model] of some taps, of what the reader gave."""
        last, place = self.backbone.n_layers, self.backbone.device
        return {
            tap: (output.last_hidden_state if tap == last else output.hidden_states[tap]).to(place)
            for tap in taps
        }


def ask_for_hidden_states(_reader: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """A hook that has the reader give the hidden states of every layer."""
    return args, {**kwargs, "output_hidden_states": True, "return_dict": True}
