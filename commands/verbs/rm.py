"""Remove an artifact from the registry.

Example: abi rm python@ref-gpt2
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Field, Named
from commands.session import Session
from registry.listing import kind_named


def rm(
    session: Session,
    *,
    name: Named,
    kind: str | None = None,
    yes: Annotated[bool, Field(spelled="--yes -y", help="Ask nothing.")] = False,
) -> None:
    """Remove an artifact from the registry, also one whose manifest is broken.

    Args:
        kind: only this kind; default: the module, its interface and gate.
    """
    from transplant.errors import InputError, NotFoundError

    kind = kind_named(kind)
    found = [session.held(name, kind)]
    if kind is None and found[0].kind == "module":
        for with_it in ("interface", "gate"):
            try:
                found.append(session.held(name, with_it))
            except NotFoundError:
                session.out.note(f"it has no {with_it}")
    if not yes and session.out.as_json:
        raise InputError("rm asks before it removes", expected="--yes beside --json")
    if not yes:
        paths = ", ".join(str(entry.path) for entry in found)
        session.out.confirm(f"Remove {paths}?")
    freed = sum(session.registry.remove(entry) for entry in reversed(found))
    report = {"removed": [str(entry.path) for entry in found], "bytes": freed}
    session.out.result(report, f"removed {name}: {freed:,} bytes")
