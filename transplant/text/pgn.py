"""Chess games as text: the movetext of each game of a PGN file, and nothing else.

S. J. Edwards (ed.), "Portable Game Notation Specification and Implementation Guide" (1994). Section
numbers in the comments are its own. What is yielded is the movetext of its reduced export format
(3.2.4), in which one game is one text, however the file that it comes from is annotated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from transplant.errors import CorpusError
from transplant.text.limits import LARGEST_BYTES
from transplant.text.row_form import too_large

RESULTS = frozenset({"1-0", "0-1", "1/2-1/2", "*"})

# A string never runs over the end of a line (7), so that a tag pair with a quotation mark too many
# is taken to end where its line ends in a bracket. Brace comments do not nest (5).
_STRING = r'"(?:[^"\\]|\\.)*+"'
_TOKEN = re.compile(
    rf"\[\s*\w+\s*{_STRING}\s*\]|\[.*"  # a tag pair; one that is malformed or goes on
    r"|\{[^}]*\}?|;.*"  # comments
    r"|\$\d*"  # annotation glyphs; the suffixes that stand for $1 to $6 (8.2.3.8) match nothing
    r"|[()}*]"
    r"|\d+\s*\.[.\s]*"  # the number of a move, in `1.e4` too
    r"|[^][{}()*;$!?\s\x00-\x1f]+"  # moves, results, numbers without a period
)
_DROPPED = (";", "$", "{")
_REST = {
    "{": re.compile(r"[^}]*\}"),
    "[": re.compile(rf'[^"\]]*+(?:{_STRING})?+\s*\]|.*\]\s*$'),
}
_NAMES = {"{": "'}' to close this comment", "[": "']' to close this tag pair"}
_NUMBER = re.compile(r"(\d+)([.\s]*)")
_MOVE = re.compile(r"[a-h][1-8]|[O0]-[O0]")  # in every move, in almost no word


def read_games(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (line, movetext) for each game that has a move, as the file is read.

    Tag pairs, comments, escaped lines, variations, annotation glyphs and suffixes (`!?`) are
    dropped. So are Black's move numbers, which only resume a game after one of these; White's are
    written `1. e4`. The result stays at the end, where there is one.

    Args:
        path: UTF-8; a line that is not is read as Latin-1, the standard's own encoding (4.1).

    Raises:
        CorpusError: null bytes, or a comment, a variation or a tag pair that is not closed.
        OSError: the file cannot be read.
    """
    for line, tokens in _split(_tokens(path)):
        if any(_MOVE.search(token) for token in tokens):
            yield line, " ".join(_with_white_numbers(tokens))


def _split(tokens: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """Yields (first line, movetext tokens) of each game; `[` stands for a tag pair."""
    begin, movetext = 0, []
    for line, token in tokens:
        if token == "[" and movetext:
            yield begin, movetext
            begin, movetext = 0, []
        begin = begin or line
        if token != "[":
            movetext.append(token)
        if token in RESULTS:
            yield begin, movetext
            begin, movetext = 0, []
    if movetext:
        yield begin, movetext


def _with_white_numbers(tokens: list[str]) -> Iterator[str]:
    for index, token in enumerate(tokens):
        number = _NUMBER.fullmatch(token)
        if number is None:
            yield token
        elif number[2].count(".") < 2:
            yield f"{number[1]}."
        elif index == 0:  # a game from a position in which Black is to move
            yield f"{number[1]}..."


def _tokens(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (line, token) of what is outside comments and variations; `[` for a tag pair."""
    unclosed = ""  # the `{` or `[` that goes on over the end of a line
    since = 0
    variations: list[int] = []
    number = 0
    for number, line in enumerate(_lines(path), start=1):
        start = 0
        if unclosed:
            rest = _REST[unclosed].match(line)
            if rest is None:
                if unclosed == "[" and not line.strip():
                    raise _not_pgn(path, since, _NAMES["["], "an empty line")
                continue
            unclosed, start = "", rest.end()
        elif line.startswith("%"):  # in the first column only (6)
            continue
        for match in _TOKEN.finditer(line, start):
            token = match[0]
            if token[0] in "{[" and token.rstrip()[-1] != {"{": "}", "[": "]"}[token[0]]:
                unclosed, since = token[0], number
            if token[0] == "[" and variations:
                raise _not_pgn(path, variations[0], "')' to close this variation", "a tag pair")
            if token == "(":
                variations.append(number)
            elif token == ")" and variations:
                variations.pop()
            elif token in (")", "}"):
                raise _not_pgn(path, number, "movetext", f"a {token!r} that closes nothing")
            elif not variations and not token.startswith(_DROPPED):
                yield number, "[" if token[0] == "[" else token
    if unclosed:
        raise _not_pgn(path, since, _NAMES[unclosed], "the end of the file")
    if variations:
        raise _not_pgn(path, variations[0], "')' to close this variation", "the end of the file")


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as handle:
        lines = iter(lambda: handle.readline(LARGEST_BYTES + 1), "")
        for number, line in enumerate(lines, start=1):
            if len(line) > LARGEST_BYTES:
                raise too_large(f"{path}:{number}", path.stat().st_size)
            if "\0" in line:
                raise CorpusError(
                    f"{path}:{number} is not text", expected="UTF-8 text", found="null bytes"
                )
            yield line if line.isascii() else _decoded(line)


def _decoded(line: str) -> str:
    raw = line.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _not_pgn(path: Path, line: int, expected: str, found: str) -> CorpusError:
    return CorpusError(f"{path}:{line} is not PGN", expected=expected, found=found)
