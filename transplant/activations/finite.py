"""Numbers that are no numbers: NaN and infinity among states, found before they are stored."""

from __future__ import annotations

import numpy as np

from transplant.activations.layout import STORED
from transplant.errors import NumericalError

INFINITY = {"bf16": 0x7F80, "fp16": 0x7C00, "fp32": 0x7F800000}
"""By stored type, the bits of infinity; of what is not finite, the bits without the sign are no
smaller."""
_LARGEST = {"bf16": 3.39e38, "fp16": 65_504.0, "fp32": 3.4e38}
_WIDER = {"fp16": ("bf16", "fp32"), "bf16": ("fp32",), "fp32": ()}


def all_finite(values: np.ndarray, dtype: str) -> bool:
    """Whether no value is NaN or infinite.

    Two maxima of the bits, without a copy: as signed integers the positive numbers end at infinity,
    as unsigned ones the negative do.

    Args:
        values: as stored; bfloat16 as its bits.
        dtype: `bf16`, `fp16` or `fp32`.
    """
    if not values.size:
        return True
    size = STORED[dtype].itemsize
    sign = 1 << (8 * size - 1)
    positive, any_sign = values.view(f"<i{size}"), values.view(f"<u{size}")
    return int(positive.max()) < INFINITY[dtype] and int(any_sign.max()) < sign + INFINITY[dtype]


def first_of_no_value(values: np.ndarray, dtype: str) -> tuple[int, int, float]:
    """The first that is not finite of [n, width] values of which one is: row, column, value."""
    size = STORED[dtype].itemsize
    magnitude = values.view(f"<u{size}") & ((1 << (8 * size - 1)) - 1)
    row, column = map(int, np.argwhere(magnitude >= INFINITY[dtype])[0])
    found = values[row, column]
    if dtype == "bf16":
        found = (np.array([found], np.uint32) << 16).view(np.float32)[0]
    return row, column, float(found)


def not_finite(
    tap: str, dtype: str, place: str, column: int, value: float, given: float | None
) -> NumericalError:
    """The error that names one value.

    Args:
        tap: where it was read.
        dtype: the stored type.
        place: the document and the position.
        column: which of the tap's values it is.
        value: as stored.
        given: as the backbone computed it, where that is known.
    """
    wider = " or ".join(f"`dtype='{name}'`" for name in _WIDER[dtype])
    again = f"{wider}, with another `out`" if wider else ""
    if given is not None and np.isfinite(given):
        return NumericalError(
            f"tap {tap} at {place}, value {column}: {given:g} is beyond what {dtype} holds",
            expected=f"at most {_LARGEST[dtype]:g}",
            found=f"{value}",
            hint=again or None,
        )
    cause = "a weight that is no number, or a backbone that overflows in its arithmetic"
    return NumericalError(
        f"tap {tap} at {place}, value {column} is no number",
        expected=f"finite {dtype}",
        found=f"{value}",
        hint=f"{again}; where that is no help: {cause}" if again and given is None else cause,
    )
