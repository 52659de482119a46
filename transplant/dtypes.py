"""Names of the types in which a backbone can compute; reading one does not load torch."""

from __future__ import annotations

from transplant.errors import InputError

AUTO = "auto"
NAMES = (AUTO, "float32", "bfloat16", "float16")


def dtype_name(dtype: object, torch_dtype: object = None) -> str:
    """The name of a type that is given as a name or as a `torch.dtype`.

    Args:
        dtype: `auto`, `float32`, `torch.bfloat16`, ...; None for `auto`.
        torch_dtype: the same under the name that `transformers` had for it; it counts where it is
            given.

    Raises:
        InputError: none of `NAMES`, or two that differ.
    """
    given = [_named(value) for value in (dtype, torch_dtype) if value is not None]
    if len({name for name in given if name != AUTO}) > 1:
        raise InputError("`dtype` and `torch_dtype` differ", expected="one of them", found=given)
    return next((name for name in given if name != AUTO), AUTO)


def _named(value: object) -> str:
    name = str(value).removeprefix("torch.")
    if name not in NAMES:
        raise InputError("unknown `dtype`", expected=f"one of {', '.join(NAMES)}", found=name[:80])
    return name
