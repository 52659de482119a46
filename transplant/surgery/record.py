"""Records: what an artifact of surgery says of itself in its manifest, beside the tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from transplant.errors import CorruptError


@dataclass(frozen=True, kw_only=True)
class Record:
    """Goes to JSON and comes back; its fields are the JSON's keys."""

    OF: ClassVar[str]
    """What it is a record of, for messages."""

    def as_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, stored: Any) -> Self:
        """Reads what `as_dict` gave.

        Raises:
            CorruptError: a field is missing, one too many, or of another shape.
        """
        try:
            return cls(**cls._fields(stored))
        except (TypeError, KeyError, ValueError) as error:
            expected = ", ".join(field.name for field in dataclasses.fields(cls))
            raise CorruptError(f"the record of {cls.OF}", expected=expected, found=error) from error

    @classmethod
    def _fields(cls, stored: Any) -> Mapping[str, Any]:
        """The fields, of what JSON holds."""
        return stored
