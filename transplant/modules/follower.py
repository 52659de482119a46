"""A second model in a generation of the first: it keeps up with the text, late."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from transplant.errors import InputError
from transplant.modules.hosted import HostedModel


class Follower:
    """The baseline in a generation: it keeps up with the text, late.

    Args:
        baseline: what is asked where the model is unsure.
    """

    def __init__(self, baseline: HostedModel) -> None:
        self.baseline = baseline
        self._cache: Any = None
        self._missed: list[Tensor] = []  # token ids [batch, new]
        self._positions: list[Tensor] = []
        self._mask: Tensor | None = None
        model: Any = baseline.backbone.model
        self._takes = inspect.signature(model.forward).parameters

    def read(self, ids: Tensor, asked: dict[str, Any]) -> None:
        """Notes the tokens of a step, their positions and what is padding so far.

        Raises:
            InputError: a mask that does not say what is padding.
        """
        if asked.get("use_cache") is False:  # each step hands over the whole text
            self._cache = None
            self._missed.clear()
            self._positions.clear()
        device = self.baseline.backbone.device
        self._missed.append(ids.to(device))
        if isinstance(positions := asked.get("position_ids"), Tensor):
            self._positions.append(positions.expand(len(ids), -1).to(device))
        mask = asked.get("attention_mask")
        if mask is not None and not (isinstance(mask, Tensor) and mask.ndim == 2):
            raise InputError(
                "a route takes a mask [batch, seq]",
                found=list(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__,
                hint="the default cache, which grows",
            )
        self._mask = None if mask is None else mask.to(device)

    def logits(self, count: int) -> Tensor:
        """The logits [batch, count, vocab] of the last positions; reads what was missed."""
        options: dict[str, Any] = {"past_key_values": self._cache, "use_cache": True}
        if self._mask is not None:
            options["attention_mask"] = self._mask
        if len(self._positions) == len(self._missed) and "position_ids" in self._takes:
            options["position_ids"] = torch.cat(self._positions, dim=1)
        if "logits_to_keep" in self._takes:
            options["logits_to_keep"] = count
        output = self.baseline(torch.cat(self._missed, dim=1), **options)
        self._cache = output.past_key_values
        self._missed.clear()
        self._positions.clear()
        return output.logits[:, -count:]
