"""Continuation that a hosted model writes behind a prompt."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from transplant.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.modules.hosted import HostedModel


class _Checked(StoppingCriteria):
    """Calls something before each token; what it raises ends the text.

    Args:
        check: is called.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def __call__(self, input_ids: Tensor, _scores: Any, **_: Any) -> Any:
        """Whether each text [batch] is at its end: no."""
        self._check()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


@torch.no_grad()
def continue_prompt(
    model: HostedModel, prompt: str, tokens: int, check: Callable[[], None]
) -> dict[str, Any]:
    """What a hosted model writes behind a prompt, the likeliest token at each step.

    Args:
        model: the hosted model; of an encoder-decoder the encoder reads the prompt.
        prompt: the text to go on from; its last tokens where the model's positions do not hold all.
        tokens: new ones, at most.
        check: called before each token; an exception of it ends the work.

    Returns:
        `name`, `text` without the prompt, `tokens` and `seconds`.

    Raises:
        InputError: a prompt of no tokens.
    """
    began, tokenizer = time.monotonic(), model.tokenizer
    ids: Tensor = tokenizer(prompt, return_tensors="pt").input_ids
    room = getattr(model.backbone.model.config, "max_position_embeddings", None)
    if room is not None:
        ids = ids[:, -max(1, int(room) - tokens) :]
    if ids.shape[1] == 0:
        raise InputError("the prompt", expected="at least one token", found="none")
    written = model.generate(
        ids.to(model.backbone.device), max_new_tokens=tokens, do_sample=False,
        stopping_criteria=StoppingCriteriaList([_Checked(check)]),
        suppress_tokens=model.backbone.padding_rows or None,
    )[0]  # fmt: skip
    decodes = bool(getattr(model.backbone.model.config, "is_encoder_decoder", False))
    new = written[1:] if decodes else written[ids.shape[1] :]
    return {
        "name": model.name,
        "text": tokenizer.decode(new, skip_special_tokens=True),
        "tokens": len(new),
        "seconds": time.monotonic() - began,
    }
