"""Records: what an artifact of surgery says of itself in its manifest, beside the tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_type_hints

from transplant.errors import CorruptError, foreign


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
        expected = ", ".join(field.name for field in dataclasses.fields(cls))
        with foreign(f"the record of {cls.OF}", CorruptError, expected=expected):
            made = cls(**cls._fields(stored))
            hints = get_type_hints(cls)
            for field in dataclasses.fields(cls):
                value, hint = getattr(made, field.name), hints[field.name]
                if hint in (str, int) and type(value) is not hint:
                    raise TypeError(f"{field.name} is {value!r}")
            return made

    @classmethod
    def _fields(cls, stored: Any) -> Mapping[str, Any]:
        """The fields, of what JSON holds."""
        return stored
