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
    """Print the JSON Schema of a verb's --json, or which verbs promise how much.

    Args:
        verb: the verb, as "basis fit", or error; default: a table of all.
    """
    from commands.verb_table import VERBS
    from transplant.schemas.table import schema_of, schemas_of
    from transplant.tables.schemas import schema_text, schemas_table

    verbs = [name for names in VERBS.values() for name in names]
    if verb is None:
        report = schemas_of(verbs)
        session.out.result(report, schemas_table(report))
        return
    report = schema_of(verb, verbs)
    session.out.result(report, schema_text(report))
