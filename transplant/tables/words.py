"""Words of a table: text, and what of it is strong, faint, bad, code, quoted or a call."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

from transplant.tables.markdown import escaped

Emphasis = Literal["strong", "faint", "bad", "code", "quote", "call"]

_IN_HTML: dict[Emphasis, str] = {
    "strong": "<strong>{}</strong>",
    "faint": '<span style="opacity: 0.7">{}</span>',
    "bad": '<strong style="color: #d0453b">{}</strong>',
    "code": "<code>{}</code>",
    "quote": "{}",
    "call": "<code>{}</code>",
}


@dataclass(frozen=True)
class Marked:
    """Words with an emphasis, which whoever shows them may draw as a style."""

    parts: tuple[str | Marked, ...]
    emphasis: Emphasis

    def __str__(self) -> str:
        """The text alone."""
        return plain(self.parts)


Words = str | Marked | tuple[str | Marked, ...]


def strong(*parts: str | Marked) -> Marked:
    """What the reader looks for, as the verdict."""
    return Marked(parts, "strong")


def faint(*parts: str | Marked) -> Marked:
    """A remark beside what was measured."""
    return Marked(parts, "faint")


def bad(*parts: str | Marked) -> Marked:
    """What should not be so."""
    return Marked(parts, "bad")


def code(*parts: str | Marked) -> Marked:
    """What is copied whole, as a command or an address: no line of it is broken."""
    return Marked(parts, "code")


def quote(*parts: str | Marked) -> Marked:
    """Text that somebody has written: where a word is too long for a line, it is broken."""
    return Marked(parts, "quote")


def call(text: str) -> Marked:
    """A call or a parameter of this library, which a command line types in its own way."""
    return Marked((text,), "call")


def parts_of(words: Words) -> tuple[str | Marked, ...]:
    """Words as a sequence of parts."""
    return words if isinstance(words, tuple) else (words,)


def plain(words: Words) -> str:
    """Words without emphasis; a call stands in backquotes."""
    if isinstance(words, Marked):
        text = plain(words.parts)
        return f"`{text}`" if words.emphasis == "call" else text
    return words if isinstance(words, str) else "".join(map(plain, words))


def as_markdown(words: Words) -> str:
    """Words on one line of Markdown, which shows their text as it is."""
    if isinstance(words, Marked):
        text = as_markdown(words.parts)
        strong_words = words.emphasis in ("strong", "bad") and text
        return f"**{text}**" if strong_words else text
    return escaped(words) if isinstance(words, str) else "".join(map(as_markdown, words))


def as_html(words: Words) -> str:
    """Words as HTML, escaped; a line feed breaks the line."""
    if isinstance(words, Marked):
        return _IN_HTML[words.emphasis].format(as_html(words.parts))
    if isinstance(words, str):
        return escape(words).replace("\n", "<br>")
    return "".join(map(as_html, words))
