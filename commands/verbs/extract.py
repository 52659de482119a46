"""Take pieces out of a backbone into a bank: embeddings, heads, feed-forward parts, the head.

Example: abi extract --backbone ref-llama --components heads,ffn --name llama-parts
"""

from __future__ import annotations

from typing import Annotated

from commands.options import Field, Replace, described_by
from commands.session import Session


@described_by("workflows.inject.banks.extract_bank")
def extract(
    session: Session,
    *,
    backbone: str,
    name: Annotated[str, Field(help="The bank's name in the registry.")],
    components: str = "embeddings,heads,ffn,lm_head",
    layers: str = "all",
    replace: Replace = False,
) -> None:
    """Take pieces out of a backbone into a bank.

    Args:
        layers: blocks whose heads and ffn are taken: all, or as 0,2-4.
    """
    from transplant.tables.banks import extracted_table
    from transplant.workflows.inject.banks import extract_bank, parse_layers

    wanted = [part.strip() for part in components.split(",") if part.strip()]
    report = extract_bank(session, backbone, name, wanted, parse_layers(layers), replace=replace)
    session.out.result(report, extracted_table(report))
