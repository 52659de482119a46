"""Conditions that a domain module and its target meet before one is pasted into the other."""

from __future__ import annotations

from collections.abc import Sequence

from transplant.backbones.layercake.names import MODULE_NAME, MODULE_NAME_RULE
from transplant.errors import ExistsError, InputError, NotFoundError, ShapeError
from transplant.paste.core import Core, module_prefix, router_prefix
from transplant.paste.forms import FORMS, form_shapes
from transplant.paste.stream import FLOATS


def choose(source: Core, names: Sequence[str] | None) -> list[str]:
    """The modules asked for, all of the source's where None.

    Raises:
        NotFoundError: one that the source has not; the message lists those there.
        InputError: a name that no tensor's name can hold.
    """
    there = ", ".join(sorted(source.modules)) or "none"
    chosen = list(source.modules) if names is None else list(dict.fromkeys(names))
    if not chosen:
        raise NotFoundError(
            f"{source.path}: no module to paste",
            expected="the name of a domain module",
            found=f"those there: {there}",
            hint="`cores()`",
        )
    for name in chosen:
        if name not in source.modules:
            raise NotFoundError(
                f"{source.path}: no domain module {name!r}",
                expected=f"one of those there ({there})",
                hint="`cores()`",
            )
        if not MODULE_NAME.fullmatch(name):
            what = "the name of a domain module"
            raise InputError(what, expected=MODULE_NAME_RULE, found=repr(name))
    return chosen


def float_dtype(target: Core) -> str:
    """The one dtype of a core's floating tensors.

    Raises:
        ShapeError: there are several, or one that cannot be checked for NaN.
    """
    kinds = {span.dtype for span in target.tensors.values()}
    kinds = {kind for kind in kinds if kind in FLOATS or kind.startswith("F")}
    if len(kinds) == 1 and kinds <= set(FLOATS):
        return kinds.pop()
    raise ShapeError(
        f"{target.path}: dtype",
        expected=f"one of {', '.join(FLOATS)} for all floating tensors",
        found=", ".join(sorted(kinds)) or "none",
        hint="save the core in one dtype",
    )


def check_free(target: Core, name: str, replace: bool) -> None:
    """Refuse a name that the target has, unless it may go.

    Raises:
        ExistsError: it has a module of that name.
    """
    if is_taken(target, name) and not replace:
        raise ExistsError(
            f"{target.path} has a domain module {name} already", hint="`paste(replace=True)`"
        )


def is_taken(target: Core, name: str) -> bool:
    """Whether the target has a module of that name, or tensors of one."""
    prefixes = (module_prefix(name), router_prefix(name))
    return name in target.modules or any(n.startswith(prefixes) for n in target.tensors)


def check_form(source: Core, name: str) -> None:
    """Refuse a form that this version does not know.

    Raises:
        InputError: it is none of FORMS.
    """
    form = source.modules[name].get("form")
    if form not in FORMS:
        raise InputError(
            f"{source.path}: the form of module {name}",
            expected=" or ".join(FORMS),
            found=repr(form),
            hint="upgrade abi, if a newer one wrote it",
        )


def check_dtype(source: Core, name: str, dtype: str) -> None:
    """Refuse a module in another dtype: a paste never converts.

    Raises:
        ShapeError: names the first tensor that has another.
    """
    for tensor, span in source.module_tensors(name).items():
        if span.dtype != dtype:
            raise ShapeError(
                f"{span.file}: the dtype of {tensor} of module {name}",
                expected=f"{dtype}, as the target has",
                found=span.dtype,
                hint="save one core in the other's dtype; `cores()` shows both",
            )


def check_complete(source: Core, name: str) -> None:
    """Hold a module's tensors against those of its form.

    Raises:
        ShapeError: names the first that is missing, unknown or of another shape.
    """
    form = source.modules[name]["form"]
    found = {tensor: span.shape for tensor, span in source.module_tensors(name).items()}
    wanted = form_shapes(form, source.d_abi)
    for tensor in sorted(found.keys() | wanted.keys()):
        if found.get(tensor) != wanted.get(tensor):
            raise ShapeError(
                f"{source.path}: tensor {tensor} of the {form} module {name}",
                expected=wanted.get(tensor, "no such tensor"),
                found=found.get(tensor, "nothing"),
                hint="save or copy the core again; `cores()` lists the others",
            )
