"""Names that must lead to different things, however they are written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from transplant.errors import InputError, NotFoundError
from transplant.files.plain import expand
from transplant.library import HostedName
from transplant.workflows.cores.modules_inside import find_core_module
from transplant.workflows.work import Work

Place = tuple[str, ...]


def check_each_once(
    work: Work, names: Sequence[str | HostedName], what: str, *, expected: str
) -> None:
    """Refuses two names of one thing: `python`, `python@ref-gpt2` and `python@ref-gpt2/d128`.

    Args:
        work: where they are looked up.
        names: of backbones, of what is hosted on them, or of folders.
        what: they are given for, for the message.
        expected: of them all, for the message.

    Raises:
        InputError: naming both; or a bare one of what is hosted on several backbones.
    """
    check_places(names, [place_of(work, name) for name in names], what, expected=expected)


def check_places(
    names: Sequence[str | HostedName], places: Sequence[Place], what: str, *, expected: str
) -> None:
    """Refuses two names that lead to one place; see `check_each_once`."""
    seen: dict[Place, str | HostedName] = {}
    for name, place in zip(names, places, strict=True):
        if place in seen:
            first = seen[place]
            found = f"{name} twice" if first == name else f"{first} and {name}, which are one"
            raise InputError(what, expected=expected, found=found)
        seen[place] = name


def place_of(work: Work, name: str | HostedName) -> Place:
    """Where a name leads: a folder, or the name itself of what is not there, as a hub id."""
    named = work.named(name)
    folder = work.library.backbone_path(named.backbone) or expand(named.backbone)
    backbone = str(folder.resolve()) if folder.exists() else named.backbone
    if named.module is None:
        return (backbone,)
    if find_core_module(work.library, named) is None:
        with suppress(NotFoundError):  # whoever loads it says so
            return (str(work.find(named).path.resolve()),)
    return backbone, named.module
