"""Names of routes: `transplant.load("python@ref-gpt2|ref-gpt2", route=2.5)`."""

from __future__ import annotations

from collections.abc import Callable

from transplant.backbones.twin import twin_of
from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.files.plain import expand
from transplant.library import HostedName, Library
from transplant.modules.hosted import HostedModel
from transplant.modules.routed import RoutedModel

BAR = "|"
Host = Callable[[Backbone, str | None, Library, int | None], HostedModel]


def refuse_route(name: str) -> None:
    """Refuses two names that have no threshold between them.

    Raises:
        InputError: naming the parameter.
    """
    if BAR in name and not expand(name).exists():
        raise InputError(f"{name} is a route", expected="`route`, in nats", found="none")


def load_route(
    name: str,
    tau: float,
    library: Library,
    load: Callable[[HostedName], HostedModel],
    host: Host,
) -> RoutedModel:
    """Loads both models of a route; one backbone is held once.

    Args:
        name: two names of hosted models, with a bar between them.
        tau: in nats.
        library: where names are looked up.
        load: loads a hosted model.
        host: attaches a module to a loaded backbone.

    Raises:
        InputError: not two names, or models of two vocabularies.
    """
    names = [part.strip() for part in name.split(BAR)]
    if len(names) != 2 or not all(names):
        raise InputError("a route", expected="MODEL|BASELINE", found=name)
    first, second = map(library.split_name, names)
    model = load(first)
    twin = twin_of(model.backbone) if first.backbone == second.backbone else None
    if twin is None:
        return RoutedModel(model, load(second), tau)
    return RoutedModel(model, host(twin, second.module, library, second.d_abi), tau)
