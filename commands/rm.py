"""Remove an artifact from the registry.

Example: abi rm python@ref-gpt2
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.session import Session


def rm(
    session: Session,
    name: Annotated[str, typer.Argument(help="A backbone or a hosted module.")],
    kind: Annotated[
        str | None, typer.Option(help="Only this kind; default: the module and its interface.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Remove an artifact from the registry."""
    from transplant.errors import NotFoundError

    found = [session.find(name, kind)]
    if kind is None and found[0].manifest.kind == "module":
        try:
            found.append(session.find(name, "interface"))
        except NotFoundError:
            session.out.note("it has no interface")
    if not yes:
        paths = ", ".join(str(entry.path) for entry in found)
        typer.confirm(f"Remove {paths}?", abort=True, err=True)
    freed = sum(session.registry.remove(entry) for entry in reversed(found))
    report = {"removed": [str(entry.path) for entry in found], "bytes": freed}
    session.out.result(report, f"removed {name}: {freed:,} bytes")
