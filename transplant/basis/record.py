"""Facts of an artifact of the kind `basis` beside its tensors, as its manifest keeps them.

Fitted, it holds U and the spectrum of each map; allocated, also ranks; adapted, the parts U_r, C
and R_r of an adapter alone, and it can be hosted by its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transplant.basis.config import OUTPUTS
from transplant.errors import CorruptError, InputError
from transplant.files.decode import decode

HINT = "`basis_fit()` it again"


@dataclass(frozen=True, kw_only=True)
class BasisRecord:
    """What is known of a basis."""

    rows: dict[str, int]
    """The rows that the moment of each map was taken over."""
    fit: dict[str, Any]
    """The recipe of the fit, and its corpus."""
    ranks: dict[str, int] | None = None
    """The rank of each map, once they are allocated."""
    allocation: dict[str, Any] | None = None
    """The recipe of the allocation."""
    adapted: dict[str, Any] | None = None
    """The recipe of the training, of an adapter."""

    @property
    def directions(self) -> str:
        """Of what its directions are; a basis that does not say has those of outputs."""
        return str(self.fit.get("directions", OUTPUTS))

    def as_dict(self) -> dict[str, Any]:
        """For a manifest; `from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, stored: Any, name: str) -> BasisRecord:
        """What a manifest holds.

        Raises:
            CorruptError: it is no such record.
        """
        try:
            return decode(cls, stored, f"the record of {name}")
        except InputError as error:
            raise CorruptError(
                error.what, expected=error.expected, found=error.found, hint=HINT
            ) from error

    def allocated(self, name: str) -> Mapping[str, int]:
        """The ranks of the maps that have one above 0.

        Raises:
            InputError: none were allocated, or all of them are 0.
        """
        if self.ranks is None:
            raise InputError(
                f"{name} has no ranks yet", expected="an allocated basis",
                hint=f"`basis_allocate({name!r}, budget_like='lora:r=8')`",
            )  # fmt: skip
        found = {map_name: rank for map_name, rank in self.ranks.items() if rank}
        if not found:
            raise InputError(
                f"all ranks of {name} are 0", expected="a rank above 0 of some map",
                hint=f"`basis_allocate({name!r}, budget_like='lora:r=8')`",
            )  # fmt: skip
        return found
