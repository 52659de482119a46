"""The tensors of each form of a LayerCake domain module, known without torch.

A test holds the table against `transplant.backbones.layercake.FORMS`.
"""

from __future__ import annotations

Shape = tuple[int, ...]


def form_shapes(form: str, d_abi: int) -> dict[str, Shape]:
    """The shape of every tensor of a module of that form; `form` is one of FORMS."""
    return FORMS[form](d_abi)


def _lite(d: int) -> dict[str, Shape]:
    return {
        "a": (),
        **_pair("norm", (d,)),
        **_pair("gate", (2 * d, d)),
        **_pair("up", (2 * d, d)),
        **_pair("down", (d, 2 * d)),
    }


def _full(d: int) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {"a": ()}
    for layer in ("layers.0", "layers.1"):
        shapes |= _pair(f"{layer}.attention_norm", (d,))
        shapes |= _pair(f"{layer}.qkv", (3 * d, d))
        shapes |= _pair(f"{layer}.out", (d, d))
        shapes |= _pair(f"{layer}.ff_norm", (d,))
        shapes |= _pair(f"{layer}.ff_in", (4 * d, d))
        shapes |= _pair(f"{layer}.ff_out", (d, 4 * d))
    return shapes


def _pair(name: str, weight: Shape) -> dict[str, Shape]:
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


FORMS = {"lite": _lite, "full": _full}
