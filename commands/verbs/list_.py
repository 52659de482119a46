"""List what the registry holds.

Example: abi list modules --backbone ref-gpt2
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Field
from commands.session import Session
from registry.listing import artifact_rows, kind_named
from registry.manifest import KINDS
from transplant.errors import InputError


def list_(
    session: Session,
    *,
    which: Annotated[str | None, Field(argument=True, metavar="[KIND]")] = None,
    kind: Annotated[str | None, Field(help=f"Only this kind: {', '.join(KINDS)}.")] = None,
    backbone: Annotated[str | None, Field(help="Only what belongs to this one.")] = None,
) -> None:
    """List what the registry holds: a module in one row with its interface and its gate.

    Args:
        which: as --kind; in the plural, too.
    """
    from transplant.tables.artifacts import list_table

    wanted = kind_named(which or kind)
    if None not in (which, kind) and kind_named(kind) != wanted:
        raise InputError("`kind`", expected=f"{which}, or one of the two alone", found=kind)
    if backbone is not None:
        session.recognise(backbone)
    # A module is listed with what belongs to it, which is of other kinds.
    entries = session.registry.entries(None if wanted == "module" else wanted, backbone)
    found = artifact_rows(entries, session.registry.entries("backbone"))
    rows = [row for row in found if wanted in (None, row["kind"])]
    for problem in session.registry.problems(backbone):
        session.out.warn(" ".join(str(problem).split()))
    root = str(session.registry.root)
    session.out.result({"registry": root, "artifacts": rows}, list_table(root, rows))
