"""A comparison of what is exported with what was loaded, on a few tokens."""

from __future__ import annotations

from typing import Any

from transplant.errors import NumericalError

TOKENS, TOLERANCE, ROUNDINGS = 48, 1e-4, 4


def largest_difference(hosted: Any, exported: Any, *, reordered: bool = False) -> float:
    """The largest difference of logits; both are computed on the same backbone in memory.

    Args:
        hosted: a `HostedModel`.
        exported: a callable that takes the same inputs.
        reordered: whether it takes the same sums in another order: in 16 bits they are rounded
            elsewhere then, and may differ by some of the last digits.

    Raises:
        NumericalError: they differ by more than 1e-4 of the largest logit, or of 1.
    """
    import torch

    backbone = hosted.backbone
    ids = torch.arange(TOKENS, device=backbone.device).remainder(backbone.vocab_size)[None]
    inputs = {"input_ids": ids}
    if backbone.model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids
    with torch.no_grad():
        expected = hosted(**inputs).logits.float()
        found = exported(**inputs).logits.float()
    difference = float((found - expected).abs().max())
    rounding = ROUNDINGS * torch.finfo(backbone.dtype).eps if reordered else 0.0
    limit = max(TOLERANCE, rounding) * max(1.0, float(expected.abs().max()))
    if not difference <= limit:
        raise NumericalError(
            f"the export of {hosted.name} is not what was loaded: logits differ",
            expected=f"by at most {limit:.1e}", found=f"{difference:.1e}",
            hint="`dtype='float32'`, or report it",
        )  # fmt: skip
    return difference
