"""Print the JSON Schema of what a verb prints with --json, or of errors.

Example: abi schema nib
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Field
from commands.session import Session


def schema(
    session: Session, *, verb: Annotated[str | None, Field(argument=True, metavar="[VERB]")] = None
) -> None:
    """Print the JSON Schema of what a verb prints with --json, or of errors.

    Args:
        verb: the verb, as "basis fit", or error; default: what there is.
    """
    from transplant.schemas.table import REPORTS, schema_of
    from transplant.tables.schemas import schema_text, schemas_table

    if verb is None:
        report = {"schemas": [*REPORTS]}
        session.out.result(report, schemas_table(report))
        return
    report = schema_of(verb)
    session.out.result(report, schema_text(report))
