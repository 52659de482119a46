"""A donor that writes with emphasis on what it learned, and so more in the manner of the domain.

From its first token on a module is worth little: nothing yet tells of its domain, and most of what
the donor writes behind such a beginning is ordinary text. Drawn from p0 (p1 / p0)^g with g above 1
a text turns to the domain sooner and more often. p0 is the donor without what it learned, p1 with
it. (Contrast of two models at the logits: DExperts, arXiv 2105.03023; guidance of language models,
arXiv 2306.17806.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from transplant.backbones.drawing import Draws
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.calibration.gain import scaled
from transplant.errors import InputError
from transplant.modules.hosted import HostedModel
from transplant.modules.tuned import TunedDonor


def guided(donor: HostedModel, guidance: float) -> HostedModel:
    """Who writes for a donor.

    Args:
        donor: a hosted module, or a base and a tuned copy of it.
        guidance: g, the factor on the change of logits; 1: as the donor predicts.

    Returns:
        The donor, one whose correction is as many times as large, or both models side by side.

    Raises:
        InputError: a copy of an encoder-decoder, with another factor than 1.
    """
    writer = donor.pair.tuned if isinstance(donor, TunedDonor) else donor
    if guidance == 1:
        return writer
    if type(donor) is HostedModel and donor.correction is not None:
        return HostedModel(
            donor.name, donor.backbone, scaled(donor.correction, guidance), donor.gate
        )
    base = donor.pair.base if isinstance(donor, TunedDonor) else donor.backbone
    if isinstance(base, PrefixBackbone):
        raise InputError(
            f"`guidance` of {donor.name}, a copy of an encoder-decoder",
            expected="1, or a domain module, or a decoder", found=guidance,
        )  # fmt: skip
    return SideBySide(HostedModel(base.name, base), writer, guidance)


class SideBySide(HostedModel):
    """Two copies of a decoder of which one text is drawn: p0 (p1 / p0)^g.

    Args:
        base: without what was learned.
        tuned: with it; the two may be the same weights with something at work inside.
        guidance: g.
    """

    def __init__(self, base: HostedModel, tuned: HostedModel, guidance: float) -> None:
        super().__init__(tuned.name, base.backbone)
        self._both, self._guidance = (base, tuned), guidance

    @torch.no_grad()
    def generate(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, input_ids: Tensor, *, max_new_tokens: int, logits_processor: list[Draws],
        stopping_criteria: list[Any], **_: Any,
    ) -> Tensor:  # fmt: skip
        """Token by token, each model with a cache of its own.

        Args:
            input_ids: what was written so far [batch, seq], nothing of it padding.
            max_new_tokens: how many are drawn.
            logits_processor: what draws the next token.
            stopping_criteria: told of each; one that stops all texts ends them.
        """
        ids, read, caches = input_ids, input_ids, [None, None]
        for _step in range(max_new_tokens):
            found = []
            for number, model in enumerate(self._both):
                output = model(
                    input_ids=read, past_key_values=caches[number], use_cache=True,
                    logits_to_keep=1, return_dict=True,
                )  # fmt: skip
                caches[number] = output.past_key_values
                found.append(output.logits[:, -1].float())
            logits = found[0].lerp(found[1], self._guidance)
            for draws in logits_processor:
                logits = draws(ids, logits)
            read = logits.argmax(1, keepdim=True)
            ids = torch.cat([ids, read], dim=1)
            stopped = [stops(ids, logits) for stops in stopping_criteria]  # each hears of it
            if any(bool(texts.all()) for texts in stopped):
                break
        return ids
