"""Weights that are stored quantised: read as they are, and never cast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transplant.errors import BackboneError, foreign


def quantisation(config: Any) -> str | None:
    """How the weights of a configuration are packed, as `bitsandbytes`; None where they are not."""
    packed = getattr(config, "quantization_config", None)
    if packed is None:
        return None
    method = packed.get("quant_method") if isinstance(packed, dict) else packed.quant_method
    return str(getattr(method, "value", method))


def check_known(config: Any) -> None:
    """Refuses a packing that `transformers` does not know, and would read as if it were none.

    Raises:
        ValueError: naming it.
    """
    from transformers.quantizers.auto import AutoHfQuantizer

    packed = config.quantization_config
    stated = packed if isinstance(packed, dict) else vars(packed)
    if not AutoHfQuantizer.supports_quant_method(stated):
        raise ValueError(f"transformers knows no method {quantisation(config)!r}")


def check_head(model: Any, source: str, packed: str) -> None:
    """Refuses a head that is packed as well: interfaces are fitted to its rows."""
    weight = model.get_output_embeddings().weight
    if not weight.is_floating_point() or weight.element_size() < 2:
        raise BackboneError(
            f"the head of {source} is quantised, too ({packed})",
            expected="a head in float32, bfloat16 or float16", found=str(weight.dtype),
        )  # fmt: skip


@contextmanager
def reading_packed(source: str, packed: str | None) -> Iterator[None]:
    """Names the packing where what is packed cannot be read in the block.

    Raises:
        BackboneError: it needs a package, or a device, that is not here.
    """
    if packed is None:
        yield
        return
    with foreign(
        f"{source} is stored quantised ({packed}), and cannot be loaded here", BackboneError,
        expected="a device, and a package, that read it",
        hint=f"install what {packed} needs, or take weights that are not quantised",
    ):  # fmt: skip
        yield
