"""A model of `transformers` inside another one that changes it while it runs.

All that others ask of a `PreTrainedModel` is answered by the inner model, whose own code computes
logits, loss and cache. This file needs torch and `transformers` alone: it may stand beside weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel

HIDDEN = ("hidden_states", "decoder_hidden_states")
CHOSEN = ("_attn_implementation_internal", "_experts_implementation_internal")


class HostingModel(PreTrainedModel, GenerationMixin):
    """A frozen model of `transformers`, and something that is at work in it.

    What is at work computes in single precision or better: `to(torch.bfloat16)` and its like cast
    the inner model alone. `train()` leaves the inner model in evaluation mode, its dropout off, as
    long as none of its parameters trains.
    """

    supports_gradient_checkpointing = True
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: Any) -> None:
        kept = {name: getattr(config, name, None) for name in CHOSEN}
        for name in CHOSEN:  # as the inner model has chosen them: this class has no layers
            setattr(config, name, None)
        try:
            super().__init__(config)
        finally:
            for name, value in kept.items():
                setattr(config, name, value)

    @property
    def inner(self) -> Any:
        """The model of `transformers` inside; each class says which it is."""
        raise NotImplementedError

    @property
    def insides(self) -> tuple[Any, ...]:
        """All models inside, where there are several."""
        return (self.inner,)

    def adopt(self) -> None:
        """Takes over what the inner model says of itself; the last step of `__init__`."""
        self.generation_config = self.inner.generation_config
        self.supports_gradient_checkpointing = self.inner.supports_gradient_checkpointing
        if not self.inner.config.is_encoder_decoder:
            self.loss_type = (
                "ForCausalLM"  # by it `Trainer` knows that the first label is no target
            )
        if hasattr(self.inner, "hf_device_map"):
            self.hf_device_map = self.inner.hf_device_map
        self.post_init()

    def init_weights(self) -> None:
        """Leaves everything as it is: the inner model is loaded, the rest is made in `__init__`."""

    def tie_weights(self, *args: Any, **options: Any) -> None:
        """Ties what the inner model ties."""
        self.inner.tie_weights(*args, **options)

    def train(self, mode: bool = True) -> Any:
        """Sets the mode of what trains; a frozen inner model stays in evaluation mode."""
        super().train(mode)
        for model in self.insides:
            if mode and not any(parameter.requires_grad for parameter in model.parameters()):
                model.train(False)
        return self

    def to(self, *args: Any, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Moves everything, and casts it, nothing but the inner model to less than float32."""
        core: Any = torch._C
        # As `nn.Module.to` reads its arguments.
        device, dtype, non_blocking, memory_format = core._nn._parse_to(*args, **options)
        if dtype is not None:
            for part in self.children():
                inside = any(part is model for model in self.insides)
                part.to(dtype=dtype if inside else torch.promote_types(dtype, torch.float32))
        if device is not None or memory_format is not None:
            kept = {} if memory_format is None else {"memory_format": memory_format}
            super().to(device=device, non_blocking=non_blocking, **kept)
        return self

    def half(self, *_: Any) -> Any:
        """Casts to float16, as `to` does it."""
        return self.to(torch.float16)

    def bfloat16(self) -> Any:
        """Casts to bfloat16, as `to` does it."""
        return self.to(torch.bfloat16)

    def float(self, *_: Any) -> Any:
        """Casts to float32."""
        return self.to(torch.float32)

    def double(self) -> Any:
        """Casts to float64."""
        return self.to(torch.float64)

    @property
    def accepts_loss_kwargs(self) -> bool:
        """Whether the inner model takes `num_items_in_batch`, as `Trainer` asks."""
        taken = inspect.signature(self.inner.forward).parameters.values()
        return any(parameter.kind == parameter.VAR_KEYWORD for parameter in taken)

    def prepare_inputs_for_generation(self, *args: Any, **options: Any) -> Any:
        """The inner model's own."""
        return self.inner.prepare_inputs_for_generation(*args, **options)

    def get_input_embeddings(self) -> nn.Module:
        """The inner model's."""
        return self.inner.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Sets the inner model's."""
        self.inner.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The inner model's head."""
        return self.inner.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Sets the inner model's head."""
        self.inner.set_output_embeddings(new_embeddings)

    def get_encoder(self, *args: Any, **options: Any) -> nn.Module:
        """The inner model's."""
        return self.inner.get_encoder(*args, **options)

    def get_decoder(self) -> nn.Module:
        """The inner model's, which gives states without what is added to the last of them."""
        return self.inner.get_decoder()

    def set_attn_implementation(self, *args: Any, **options: Any) -> None:
        """Sets the inner model's."""
        self.inner.set_attn_implementation(*args, **options)


def not_none(**named: Any) -> dict[str, Any]:
    """The arguments that are not None."""
    return {name: value for name, value in named.items() if value is not None}


def drop_unasked(output: Any, config: Any, options: Mapping[str, Any]) -> Any:
    """Takes hidden states that nobody asked for out of an output: they would be kept for nothing.

    Args:
        output: of the inner model, whose hooks had it give the states of every layer.
        config: says what is given where a call does not.
        options: of the call.
    """
    asked = options.get("output_hidden_states")
    if not (config.output_hidden_states if asked is None else asked):
        for name in HIDDEN:
            if getattr(output, name, None) is not None:
                setattr(output, name, None)
    return output


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors under other names, by the beginnings of both; those without one are left out."""
    return {
        new + name.removeprefix(old): tensor
        for name, tensor in tensors.items()
        for old, new in names.items()
        if name.startswith(old)
    }
