"""Knowledge banks in the registry: found by name, rebuilt with their pieces."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from commands.session import Session
    from registry.entry import Entry
    from registry.manifest import Manifest
    from transplant.surgery.bank.piece import Bank, Part


@dataclass(frozen=True)
class DonorPart:
    """A piece of a bank, ready to run, and where it comes from."""

    bank: Manifest
    name: str
    part: Part


def find_bank(session: Session, name: str) -> Entry:
    """The bank called `NAME`, or `NAME@backbone` where several donors have one of that name.

    Raises:
        NotFoundError: there is none.
        InputError: there are several.
    """
    if "@" in name:
        return session.find(name, "bank")
    found = session.registry.choices("bank", name=name)
    if not found:
        held = session.registry.entries("bank")
        known = ", ".join(entry.manifest.name for entry in held) or "no bank at all"
        raise NotFoundError(
            f"no bank {name}", expected="one that exists", found=known,
            hint="abi extract --backbone B --name NAME",
        )  # fmt: skip
    if len(found) > 1:
        names = ", ".join(f"{name}@{entry.manifest.backbone.id}" for entry in found)
        raise InputError(f"bank {name} is ambiguous", expected=f"one of {names}")
    return found[0]


def read_bank(session: Session, entry: Entry) -> Bank:
    """The pieces of a bank, every tensor verified."""
    from transplant.surgery.bank.piece import Bank

    return Bank.from_stored(session.registry.read(entry), entry.manifest.made["pieces"])


def donor_part(session: Session, source: str) -> DonorPart:
    """The part that `--from NAME:ffn.3` names.

    Raises:
        InputError: no colon in it.
    """
    bank, colon, part = source.partition(":")
    if not colon or not part:
        raise InputError("--from", expected="a bank and a piece, as in NAME:ffn.3", found=source)
    entry = find_bank(session, bank)
    return DonorPart(entry.manifest, part, read_bank(session, entry).part(part))


def describe_pieces(manifest: Manifest) -> list[dict[str, Any]]:
    """Shape, size and hash of each piece, from the manifest alone."""
    from transplant.backbones.identity import tensors_sha256

    rows = []
    held = manifest.made["pieces"]
    for name in sorted(held, key=_order):
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
