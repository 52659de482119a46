"""Take pieces out of a backbone into a bank: embeddings, heads, feed-forward parts, the head.

Example: abi extract --backbone ref-llama --components heads,ffn --name llama-parts
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options.shared import Replace, parse_layers
from commands.output import table
from commands.session import Session


def extract(
    session: Session,
    backbone: Annotated[str, typer.Option(help="The donor: a registry name, folder or hub id.")],
    name: Annotated[str, typer.Option(help="The bank's name in the registry.")],
    components: Annotated[
        str, typer.Option(help="Of embeddings, heads, ffn, lm_head; separated by commas.")
    ] = "embeddings,heads,ffn,lm_head",
    layers: Annotated[
        str, typer.Option(help="Blocks whose heads and ffn are taken: all, or as 0,2-4.")
    ] = "all",
    replace: Replace = False,
) -> None:
    """Take pieces out of a backbone into a bank."""
    from commands.artifacts import describe, refuse_existing
    from commands.banks import describe_pieces
    from transplant.surgery.bank.extract import extract as take

    if not replace:
        refuse_existing(session, ("bank",), name, backbone, None)
    donor = session.load_backbone(backbone)
    wanted = [part.strip() for part in components.split(",") if part.strip()]
    with donor.frozen():
        bank = take(donor, wanted, parse_layers(layers))
    made = session.made(pieces=bank.recipes())
    manifest = describe("bank", name, None, donor, None, made=made)
    entry = session.registry.write(manifest, bank.tensors(), replace=replace)
    pieces = describe_pieces(entry.manifest)
    report = {
        "name": name,
        "backbone": backbone,
        "sha256": entry.manifest.sha256,
        "pieces": [piece["piece"] for piece in pieces],
        "parameters": sum(piece["parameters"] for piece in pieces),
        "path": str(entry.path),
    }
    shown = table(f"bank {name}  (from {backbone})", "piece", "parameters")
    for piece in pieces:
        shown.add_row(piece["piece"], f"{piece['parameters']:,}")
    session.out.result(report, shown)
