"""Say what a bank holds: shapes, parameters, hashes, and where it comes from.

Example: abi inspect llama-parts --verify
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from commands.options import Field, Verify
from commands.session import Session

if TYPE_CHECKING:
    from registry.entry import Entry


def inspect_(
    session: Session,
    name: Annotated[str, Field(argument=True, help="A bank, or bank@backbone.")],
    verify: Verify = False,
) -> None:
    """Say what a bank holds: shapes, parameters, hashes, and where it comes from."""
    from transplant.tables.banks import bank_table
    from transplant.workflows.inject.banks import describe_bank, find_bank

    entry = cast("Entry", find_bank(session, name))
    if verify:
        session.registry.verify(entry)
    report = describe_bank(entry, verified=verify)
    session.out.result(report, bank_table(report))
