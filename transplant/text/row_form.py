"""The form of rows: which column is their text, and how a chat or an instruction becomes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from transplant.errors import CorpusError, first_line
from transplant.text.limits import LARGEST_BYTES

TEXT_COLUMNS = ("text", "content", "document")
CHATS = ("messages", "conversations")
"""Columns of turns: `role` and `content`, or `from` and `value`."""
ANSWERS = (("instruction", "output"), ("prompt", "completion"))
"""A question and its answer; `input`, where an instruction has one, follows it."""
CHAT_COLUMNS = (*CHATS, *(name for pair in ANSWERS for name in pair), "input")
ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant"}
SHOWN = 120  # characters of foreign names in a message

Row = tuple[str, str] | tuple[str, str, str] | CorpusError
"""Text and place, and of a chat what identifies it, however it is rendered; or why it has none."""
Turns = list[dict[str, str]]


@dataclass(frozen=True)
class ChatTemplate:
    """How turns become text."""

    name: str
    """Whose it is."""
    render: Callable[[Turns], str] | None
    """None where it has none."""
    sha256: str | None = None


@dataclass(frozen=True)
class RowForm:
    """How rows are read.

    Args:
        column: the column that is read; None for the first of `TEXT_COLUMNS`, else a chat's.
        template: for chats; None where no model is at hand.
        used: the columns that were read, in order; filled on the way.
    """

    column: str | None = None
    template: ChatTemplate | None = None
    used: dict[str, None] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that may be read of a table."""
        return (self.column,) if self.column is not None else (*TEXT_COLUMNS, *CHAT_COLUMNS)

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of plain text."""
        return (self.column,) if self.column is not None else TEXT_COLUMNS

    def row_of(self, value: object, where: str) -> Row:
        """The text of one row, or why it has none."""
        try:
            if isinstance(value, Mapping):
                return self._of_columns(value, where)
            return text_of(value, where), where
        except CorpusError as error:
            return error

    def _of_columns(self, row: Mapping[Any, Any], where: str) -> Row:
        for name in self.texts:
            if row.get(name) is None:
                continue
            if self.column is not None and not isinstance(row[name], str):
                return self._of_turns(_turns(row[name], where), name, where)
            if not isinstance(row[name], str):
                raise CorpusError(
                    f"{where} has no text", expected=f"a string in {name!r}",
                    found=type(row[name]).__name__,
                )  # fmt: skip
            self.used[name] = None
            return text_of(row[name], where), where
        if self.column is None:
            for name in CHATS:
                if row.get(name) is not None:
                    return self._of_turns(_turns(row[name], where), name, where)
            for asked, answered in ANSWERS:
                if row.get(asked) is not None and row.get(answered) is not None:
                    turns = _question(row, asked, where) + _answer(row[answered], where)
                    return self._of_turns(turns, _both((asked, answered)), where)
        raise no_column(f"{where} has no text", self, f"the fields {shown(row)}")

    def _of_turns(self, turns: Turns, name: str, where: str) -> Row:
        template = self.template
        if template is None or template.render is None:
            raise CorpusError(
                f"{where} is a chat ({name}), which a tokenizer's chat template makes text of",
                expected="a tokenizer with a chat template",
                found="no model" if template is None else f"none in {template.name}",
                hint="a model that was made for chats, or `text_column='NAME'` of plain text",
            )
        try:
            text = template.render(turns)
        except Exception as error:
            raise CorpusError(
                f"the chat template of {template.name} cannot render {where}",
                found=first_line(error),
            ) from error
        self.used[name] = None
        plain = "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)
        return text_of(text, where), where, text_of(plain, where)


def is_usual(column: str) -> bool:
    """Whether rows are read from a column, as `RowForm.used` has it, where none is named."""
    return column in (*TEXT_COLUMNS, *CHATS, *map(_both, ANSWERS))


def _both(columns: tuple[str, str]) -> str:
    """What the columns of a question and its answer are called together."""
    return " and ".join(columns)


def no_column(what: str, form: RowForm, found: str) -> CorpusError:
    """The error of a row or a table without text."""
    expected = f"the column {form.column!r}" if form.column is not None else (
        f"a string or a field of {TEXT_COLUMNS}, or a chat ({', '.join(CHATS)})"
    )  # fmt: skip
    hint = None if form.column is not None else "`text_column='NAME'` reads another column"
    return CorpusError(what, expected=expected, found=found, hint=hint)


def text_of(value: object, where: str) -> str:
    """A string that is text.

    Raises:
        CorpusError: no string, or text that no UTF-8 file may hold.
    """
    if not isinstance(value, str):
        raise CorpusError(
            f"{where} has no text", expected=f"a string or a field of {TEXT_COLUMNS}",
            found=type(value).__name__,
        )  # fmt: skip
    if "\0" in value:
        raise CorpusError(f"{where} is not text", expected="UTF-8 text", found="null bytes")
    if len(value) > LARGEST_BYTES:
        raise too_large(where, len(value))
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can escape what no UTF-8 file can hold
        raise CorpusError(
            f"{where} is not text", expected="Unicode", found="half of a surrogate pair"
        ) from error
    return value


def too_large(where: str, size: int) -> CorpusError:
    """The error of one text whose tokens would not fit in memory."""
    return CorpusError(
        f"{where} is one text that is too large",
        expected=f"at most {LARGEST_BYTES:,} bytes", found=f"{size:,}", hint="cut it into several",
    )  # fmt: skip


def shown(names: Sequence[Any] | Mapping[Any, Any]) -> str:
    """Foreign names as they stand in a message: not longer than a line."""
    text = ", ".join(repr(str(name)[:40]) for name in list(names)[:8]) or "none"
    return text[:SHOWN]


def _turns(value: object, where: str) -> Turns:
    """A chat's turns, each with `role` and `content`."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        raise CorpusError(
            f"{where} is no chat", expected="a list of turns", found=type(value).__name__
        )
    turns: Turns = []
    for turn in value:
        role, content = (
            (turn.get("role", turn.get("from")), turn.get("content", turn.get("value")))
            if isinstance(turn, Mapping)
            else (None, None)
        )
        if isinstance(content, Sequence) and not isinstance(content, str | bytes):  # its parts
            content = "".join(str(part.get("text") or "") for part in content if _is_part(part))
        if not isinstance(role, str) or not isinstance(content, str):
            raise CorpusError(
                f"{where} is no chat", expected="turns with role and content, or from and value",
                found=f"the fields {shown(turn)}" if isinstance(turn, Mapping)
                else type(turn).__name__,
            )  # fmt: skip
        turns.append({"role": ROLES.get(role, role), "content": content})
    return turns


def _is_part(part: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(part, Mapping)


def _question(row: Mapping[Any, Any], name: str, where: str) -> Turns:
    if not isinstance(row[name], str):
        return _turns(row[name], where)
    more = row.get("input") if name == "instruction" else None
    parts = [row[name], *([more] if isinstance(more, str) and more.strip() else [])]
    return [{"role": "user", "content": "\n\n".join(parts)}]


def _answer(value: object, where: str) -> Turns:
    if not isinstance(value, str):
        return _turns(value, where)
    return [{"role": "assistant", "content": value}]
