"""A hosted model: a frozen backbone, an interface and a domain module at work together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from transplant.backbones.decoding import head_in_one_piece
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.view import Backbone
from transplant.errors import BackboneError, InputError, ShapeError
from transplant.exported.hosting_abi_hosted import drop_unasked, not_none
from transplant.modules.correction import Correction
from transplant.modules.forms import module_from_tensors
from transplant.modules.gate import Gate, Gated, check_gate
from transplant.modules.gated_forward import gated_correction
from transplant.modules.interface import Interface
from transplant.modules.positions import within_positions
from transplant.modules.saved import Opened, SavableModel
from transplant.modules.stand_alone import StandAlone, stand_alone_module

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from transplant.modules.linear import LinearCorrection


class HostedModel(SavableModel):
    """A backbone with a module attached: a `PreTrainedModel` with the backbone's configuration.

    `model(input_ids=...).logits` and `model.generate(...)` run the backbone's own code; a hook on
    its last hidden state adds the correction, and is gone when the call returns. With no
    correction it is the raw backbone. The backbone is frozen; interface and module train.

    Args:
        name: `<module>@<backbone>`, or the backbone's name.
        backbone: the frozen language model.
        correction: interface and domain module, or None.
        gate: where the module is at work; None for everywhere.
    """

    base_model_prefix = "language_model"
    saved_as = {
        "language_model.": "backbone.", "correction.interface.": "interface.",
        "correction.module.": "domain_module.", "gate.": "gate.",
    }  # fmt: skip

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        correction: Correction | None = None,
        gate: Gate | None = None,
    ) -> None:
        super().__init__(backbone.model.config)
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
        self.adopt()
        self.eval()

    @property
    def inner(self) -> Any:
        """The backbone's model."""
        return self.language_model

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

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
        labels: Tensor | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """The backbone's own output, logits and loss corrected.

        An encoder-decoder with neither `decoder_input_ids` nor `labels` runs as a prefix LM: its
        logits are those of the second half of the window.

        Args:
            input_ids: [batch, seq].
            attention_mask: [batch, seq], 0 where there is padding.
            labels: [batch, seq], -100 where there is none; shifted as the backbone does it.
            options: whatever else the backbone takes.
        """
        named = not_none(input_ids=input_ids, attention_mask=attention_mask, labels=labels)
        own_decoder = {"decoder_input_ids", "decoder_inputs_embeds"} & options.keys()
        if isinstance(self.backbone, PrefixBackbone) and labels is None and not own_decoder:
            named = self._prefix_inputs(named.pop("input_ids"), attention_mask)
        output = self._run(self.language_model, **options, **named)
        return drop_unasked(output, self.config, options)

    def generate(self, *args: Any, **options: Any) -> Any:
        """The backbone's own `generate`, key-value cache and all, with the correction in place.

        The text ends where the model's positions do, if not before.

        Raises:
            InputError: the prompt leaves no position to write on.
        """
        model: Any = self.language_model
        model.generation_config = self.generation_config
        options = within_positions(model.config, args, options)
        with head_in_one_piece(model):
            return self._run(model.generate, *args, **options)

    def stand_alone(self) -> StandAlone:
        """What it adds to the backbone, as the exported code builds it.

        Raises:
            InputError: the exported code has no such form.
        """
        return stand_alone_module(self.name, self.correction, self.gate)

    @classmethod
    def opened(cls, folder: Opened) -> HostedModel:
        """The model of a folder that was read."""
        correction = Correction(
            Interface.from_tensors(folder.part("interface"), folder.shape["taps"]),
            module_from_tensors(folder.part("domain_module")),
        )
        gate = Gate.from_tensors(folder.part("gate")) if folder.shape.get("gate") else None
        return cls(folder.name, folder.backbone, correction, gate)

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
