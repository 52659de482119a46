"""A comparison of what is exported with what was loaded, on a few tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transplant.errors import NumericalError

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.modules.hosted_linear import LinearModel
    from transplant.surgery.lora.update import Pair

TOKENS, TOLERANCE = 48, 1e-4
PIECE = 8192  # tokens of the vocabulary at a time, in single precision


def largest_difference(hosted: Any, exported: Any) -> float:
    """The largest difference of logits; both are computed on the same backbone in memory.

    Args:
        hosted: a `HostedModel`.
        exported: a callable that takes the same inputs.

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
    return _checked(hosted.name, expected, found)


def largest_on_head(hosted: LinearModel, pair: Pair) -> float:
    """The same of a linear map and a pair on the head, both multiplied in single precision.

    In 16 bits the two round in other places, and logits differ by their last digits.

    Args:
        hosted: a linear map of the last tap.
        pair: on the head.

    Raises:
        NumericalError: logits differ by more than 1e-4 of the largest one, or of 1.
    """
    import torch
    from torch.nn.functional import linear

    from transplant.text.windows import Window

    backbone = hosted.backbone
    ids = [number % backbone.vocab_size for number in range(TOKENS)]
    with torch.no_grad():
        states = backbone.read([Window(ids, range(1, TOKENS + 1), 0)], hosted.linear.taps)
        scale = float(getattr(backbone, "output_scale", 1.0))
        x = scale * states.h_last.float()
        change = scale * hosted.linear(states.taps).float()
        low = linear(x, pair.a.to(x.device).float())
        weight = backbone.model.get_output_embeddings().weight
        expected, found = [], []
        for some, b in zip(weight.split(PIECE), pair.b.to(x.device).split(PIECE), strict=True):
            expected.append(linear(x + change, some.float()))
            found.append(linear(x, some.float()) + pair.scale * linear(low, b.float()))
    logits = torch.cat(found, dim=1)
    if pair.bias is not None:
        logits = logits + pair.scale * pair.bias.to(x.device).float()
    return _checked(hosted.name, torch.cat(expected, dim=1), logits)


def _checked(name: str, expected: Tensor, found: Tensor) -> float:
    difference = float((found - expected).abs().max())
    limit = TOLERANCE * max(1.0, float(expected.abs().max()))
    if not difference <= limit:
        raise NumericalError(
            f"the export of {name} is not what was loaded: logits differ",
            expected=f"by at most {limit:.1e}", found=f"{difference:.1e}",
            hint="`dtype='float32'`, or report it",
        )  # fmt: skip
    return difference
