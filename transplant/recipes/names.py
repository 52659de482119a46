"""The names that steps give to what they make, as far as their options tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import ExistsError, InputError, TransplantError
from transplant.recipes.read import Recipe, Step
from transplant.recipes.record import Record
from transplant.recipes.recorded import Artifact
from transplant.recipes.verbs import Verbs

if TYPE_CHECKING:
    from transplant.library import Entry, Library

Options = Mapping[str, Any]


def _train(options: Options) -> str | None:
    domain, backbone = options.get("domain"), options.get("backbone")
    if options.get("form") is None:
        return f"{options.get('name') or domain}@{backbone}"
    return options.get("name") or f"{Path(str(backbone)).name}-{domain}"


def _moved(options: Options) -> str | None:
    name, to, module = options.get("name"), options.get("to"), options.get("module")
    if name is None and isinstance(module, str) and "@" in module:
        own, _, donor = module.partition("@")
        name = f"{own}-from-{Path(donor.rpartition('/d')[0] or donor).name}"
    return None if name is None or options.get("curve") else f"{name}@{to}"


def _hosted(where: str, otherwise: str | None = None) -> Callable[[Options], str | None]:
    def named(options: Options) -> str | None:
        name = options.get("name", otherwise)
        return None if name is None else f"{name}@{options.get(where)}"

    return named


def _own(options: Options) -> str | None:
    return options.get("name")


def _core(options: Options) -> str | None:
    size = options.get("size")
    return options.get("name") or (f"{size}-plain" if options.get("baseline") else size)


NAMES: dict[str, Callable[[Options], str | None]] = {
    "train": _train,
    "transfer": _moved,
    "calibrate": _moved,
    "extract": _hosted("backbone"),
    "inject": _hosted("to", "probe"),
    "basis fit": _hosted("backbone"),
    "train-core": _core,
    "add": _own,
    "merge": _own,
    "embed-init": _own,
}
"""By verb; of the others it is not known before they run."""


def name_made(verb: str, options: Options) -> str | None:
    """The name of what a step makes, in full; None where its options do not tell.

    Args:
        verb: as it is typed.
        options: by parameter; one that is not given is not there.
    """
    named = NAMES.get(verb)
    found = None if named is None else named(options)
    return None if found is None or "${" in found else found


def check_names(library: Library, recipe: Recipe, record: Record, verbs: Verbs) -> None:
    """Refuses, before anything runs, names that are taken, and those that are made too late.

    Args:
        library: where artifacts go.
        recipe: the steps.
        record: what the recipe has made before, which it may replace.
        verbs: for the defaults of options.

    Raises:
        ExistsError: an artifact that this recipe did not make has the name.
        InputError: two steps would make one artifact, or a step uses what only a later one makes.
    """
    makers: dict[str, Step] = {}
    for step in recipe.steps:
        name = name_made(step.verb, step.options)
        if name in makers:
            raise InputError(
                f"{recipe.where(step)}: {step.name!r} would make {name}",
                expected="another name",
                found=f"the step {makers[name].name!r} on line {makers[name].line} makes it",
            )
        if name is not None:
            makers[name] = step
    _check_order(library, recipe, makers)
    for name, step in makers.items():
        width = None
        if step.verb == "train":  # of a move the width is its module's
            table = {option.name: option.default for option in verbs.options(step.verb)}
            width = step.options.get("d_abi", table["d_abi"])
        entry = _entry(library, name, width)
        if entry is None or step.options.get("replace"):
            continue
        found = Artifact.of(entry.manifest)
        if found not in record.made:
            raise ExistsError(
                f"{recipe.where(step)}: {name} is already in the registry",
                expected="a free name, or what this recipe has made",
                hint=f"`rm({name!r})`, `replace: true` in the step, or another name",
            )


def _check_order(library: Library, recipe: Recipe, makers: Mapping[str, Step]) -> None:
    """Refuses a step that names what a step after it makes, and nothing else has made."""
    order = {step.name: number for number, step in enumerate(recipe.steps)}
    for step in recipe.steps:
        for option, value in step.options.items():
            maker = makers.get(value) if isinstance(value, str) and option != "name" else None
            if maker is not None and order[maker.name] > order[step.name]:
                if _entry(library, value) is not None:
                    continue
                raise InputError(
                    f"{recipe.where(step, option)}: {value} is made by {maker.name!r}, which comes "
                    "after it",
                    expected="a step before it",
                )


def _entry(library: Library, name: str, width: int | None = None) -> Entry | None:
    """The backbone or module of a name; None where there is none, or more than one."""
    with suppress(TransplantError):
        parts = library.split_name(name)
        if parts.module is None:
            return library.get("backbone", parts.backbone)
        return library.get("module", parts.module, parts.backbone, parts.d_abi or width)
    return None
