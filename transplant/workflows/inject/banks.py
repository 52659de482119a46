"""Knowledge banks in the registry: found by name, rebuilt with their pieces."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, cast

from transplant.errors import CorruptError, InputError, NotFoundError, foreign

if TYPE_CHECKING:
    from transplant.library import Entry, Manifest
    from transplant.surgery.bank.piece import Bank, Part
    from transplant.workflows.work import Work


@dataclass(frozen=True)
class DonorPart:
    """A piece of a bank, ready to run, and where it comes from."""

    bank: Manifest
    name: str
    part: Part


def find_bank(work: Work, name: str) -> Entry:
    """The bank called `NAME`, or `NAME@backbone` where several donors have one of that name.

    Raises:
        NotFoundError: there is none.
        InputError: there are several.
    """
    if "@" in name:
        return work.find(name, "bank")
    found = work.library.choices("bank", name=name)
    if not found:
        held = work.library.entries("bank")
        known = ", ".join(entry.manifest.name for entry in held) or "no bank at all"
        raise NotFoundError(
            f"no bank {name}", expected="one that exists", found=known,
            hint="`extract(backbone='B', name='NAME')`",
        )  # fmt: skip
    if len(found) > 1:
        names = ", ".join(f"{name}@{entry.manifest.backbone.id}" for entry in found)
        raise InputError(f"bank {name} is ambiguous", expected=f"one of {names}")
    return found[0]


def read_bank(work: Work, entry: Entry) -> Bank:
    """The pieces of a bank, every tensor verified."""
    from transplant.surgery.bank.piece import Bank

    return Bank.from_stored(work.library.read(entry), entry.manifest.made["pieces"])


def extract_bank(
    work: Work,
    backbone: str,
    name: str,
    components: Sequence[str],
    layers: Sequence[int] | None,
    *,
    replace: bool = False,
) -> dict[str, Any]:
    """Takes pieces out of a backbone, stores them as a bank and reports it.

    Args:
        work: library, device, seed and reporter.
        backbone: the donor: a name of the library, a folder or a hub id.
        name: of the bank.
        components: of `embeddings`, `heads`, `ffn`, `lm_head`.
        layers: the blocks whose heads and ffn are taken; None for all.
        replace: whether a bank of that name may go.
    """
    from transplant.surgery.bank.extract import extract

    work.library.claim(("bank",), name, backbone, None, replace=replace)
    donor = work.backbone(backbone)
    with donor.frozen():
        bank = extract(donor, [*components], None if layers is None else tuple(layers))
    entry = work.library.store(
        "bank", name, bank.tensors(), backbone=donor, made=work.made(pieces=bank.recipes()),
        replace=replace,
    )  # fmt: skip
    pieces = describe_pieces(entry.manifest)
    return {
        "name": name,
        "backbone": backbone,
        "sha256": entry.manifest.sha256,
        "pieces": [piece["piece"] for piece in pieces],
        "sizes": {piece["piece"]: piece["parameters"] for piece in pieces},
        "parameters": sum(piece["parameters"] for piece in pieces),
        "path": str(entry.path),
    }


def donor_part(work: Work, source: str) -> DonorPart:
    """The part that a source names, as in NAME:ffn.3.

    Raises:
        InputError: no colon in it.
    """
    bank, colon, part = source.partition(":")
    if not colon or not part:
        raise InputError("`source`", expected="a bank and a piece, as in NAME:ffn.3", found=source)
    entry = find_bank(work, bank)
    return DonorPart(entry.manifest, part, read_bank(work, entry).part(part))


def parse_layers(text: str) -> tuple[int, ...] | None:
    """Turns text into numbers of blocks; None for `all`.

    Args:
        text: `all`, or a list as `0,2-4`.

    Raises:
        InputError: it is neither, or a range descends.
    """
    if text == "all":
        return None
    layers: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            numbers = range(int(first), int(last if dash else first) + 1)
            if not numbers:
                raise ValueError(f"{part} descends")
            layers.extend(numbers)
    except ValueError as error:
        raise InputError(
            "`layers`", expected="all, or a list as 0,2-4, ranges ascending", found=text
        ) from error
    return tuple(layers)


def describe_bank(entry: Entry, *, verified: bool = False) -> dict[str, Any]:
    """What a bank holds: shapes, parameters and hashes of its pieces, and where it comes from.

    Args:
        entry: the bank.
        verified: whether every sha256 was computed again.
    """
    manifest = entry.manifest
    pieces = describe_pieces(manifest)
    return {
        "name": manifest.name,
        "backbone": dataclasses.asdict(cast(Any, manifest.backbone)),
        "sha256": manifest.sha256,
        "parameters": sum(piece["parameters"] for piece in pieces),
        "pieces": pieces,
        "made": {key: value for key, value in manifest.made.items() if key != "pieces"},
        "path": str(entry.path),
        "verified": verified,
    }


def describe_pieces(manifest: Manifest) -> list[dict[str, Any]]:
    """Shape, size and hash of each piece, from the manifest alone."""
    from transplant.backbones.identity import tensors_sha256

    rows = []
    held = manifest.made["pieces"]
    with foreign(f"the pieces of {manifest.hosted}", CorruptError, expected="ffn.2 and the like"):
        names = sorted(held, key=_order)
    for name in names:
        own = {
            key.partition("/")[2]: record
            for key, record in manifest.tensors.items()
            if key.partition("/")[0] == name
        }
        rows.append(
            {
                "piece": name,
                "parameters": sum(prod(record.shape) for record in own.values()),
                "tensors": {key: list(record.shape) for key, record in own.items()},
                "sha256": tensors_sha256(
                    (key, record.dtype, record.shape, record.sha256) for key, record in own.items()
                ),
                "recipe": held[name],
            }
        )
    return rows


def _order(piece: str) -> tuple[int, int, int]:
    """Embeddings first, then block by block, the head last."""
    kind, _, number = piece.partition(".")
    return {"embeddings": 0, "lm_head": 2}.get(kind, 1), int(number or 0), int(kind == "ffn")
