"""The end of a model's positions: generated text stops there, whatever length was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from transplant.errors import InputError


def position_count(config: Any) -> int | None:
    """How many tokens a model's positions reach; None where its positions are relative.

    Args:
        config: its configuration, that of `transformers`.
    """
    return getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)


def within_positions(
    config: Any, args: Sequence[Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The options of `generate`, with an end at the last position of the model.

    Args:
        config: the model's configuration.
        args: what `generate` is given without a name: the prompt [batch, seq], or nothing.
        options: what it is given by name.

    Raises:
        InputError: the prompt leaves no position to write on.
    """
    room = position_count(config)
    if room is None:
        return dict(options)
    named = (options.get(name) for name in ("inputs", "input_ids", "inputs_embeds"))
    prompt = next((it for it in (*args[:1], *named) if it is not None), None)
    length = 0 if prompt is None or config.is_encoder_decoder else prompt.shape[1]
    if length >= room:
        raise InputError(
            "the prompt leaves no position to write on",
            expected=f"at most {room - 1} tokens, for the model has {room} positions",
            found=f"{length} tokens",
            hint="a shorter prompt",
        )
    counted = prompt is None or not torch.is_floating_point(prompt)  # embeddings are not in the ids
    end = room if counted or config.is_encoder_decoder else room - length
    return {**options, "stopping_criteria": [*(options.get("stopping_criteria") or ()), _End(end)]}


class _End:
    """Ends every text of a batch at a number of tokens; see `transformers.StoppingCriteria`."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __call__(self, input_ids: Tensor, _scores: Any, **_: Any) -> Tensor:
        done = input_ids.shape[1] >= self.length
        return torch.full((len(input_ids),), done, device=input_ids.device, dtype=torch.bool)
