"""Files of clean and corrupted texts, as tokens of a model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import CorpusError, foreign
from transplant.files.plain import expand
from transplant.files.strict_json import parse
from transplant.tracing.patching import TokenPair

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone

FORM = "an object with `clean` and `corrupted`, and maybe `answer` and `foil`"
LARGEST = 1 << 26  # bytes of a file


@dataclass(frozen=True)
class PairTexts:
    """What was read of a file."""

    pairs: tuple[TokenPair, ...]
    texts: tuple[dict[str, str], ...]
    sha256: str


def read_token_pairs(path: Path | str, backbone: Backbone) -> PairTexts:
    """Reads lines of JSON with two texts each, which must be as many tokens.

    Args:
        path: the file. A line has `clean` and `corrupted`; `answer` and `foil` are the texts that
            should follow them, of which the first token counts; both or neither.
        backbone: whose tokens they become.

    Raises:
        CorpusError: no such file, no pair in it, or a line that is none, by its number: texts of
            unequal length, the same text twice, or too long for the model.
    """
    place = expand(str(path))
    with foreign(f"cannot read {path}", CorpusError, expected="a file of JSON lines"):
        if place.stat().st_size > LARGEST:
            raise CorpusError(f"{path} is too large", expected=f"at most {LARGEST:,} bytes")
        data = place.read_bytes()
        lines = data.decode().splitlines()
    rows = [(n, line) for n, line in enumerate(lines, 1) if line.strip()]
    read = [_row(f"line {number} of {path}", line) for number, line in rows]
    if not read:
        raise CorpusError(f"no pair in {path}", expected=FORM)
    pairs = [
        _pair(f"line {number} of {path}", row, backbone)
        for (number, _), row in zip(rows, read, strict=True)
    ]
    return PairTexts(tuple(pairs), tuple(read), hashlib.sha256(data).hexdigest())


def _row(where: str, line: str) -> dict[str, str]:
    with foreign(where, CorpusError, expected=FORM):
        row: Any = parse(line)
    keys = ("clean", "corrupted", "answer", "foil")
    named = {key: row[key] for key in keys if key in row} if isinstance(row, dict) else {}
    whole = all(isinstance(text, str) and text for text in named.values())
    if (
        not whole
        or not {"clean", "corrupted"} <= {*named}
        or ("answer" in named) != ("foil" in named)
    ):
        raise CorpusError(where, expected=FORM, found=line[:80])
    if named["clean"] == named["corrupted"]:
        raise CorpusError(where, expected="two texts that differ", found=line[:80])
    return named


def _pair(where: str, row: dict[str, str], backbone: Backbone) -> TokenPair:
    clean, corrupted = (_ids(where, row[key], backbone) for key in ("clean", "corrupted"))
    if len(clean) != len(corrupted):
        raise CorpusError(
            f"{where}: the texts differ in length", expected=f"{len(clean)} tokens, as clean",
            found=len(corrupted), hint="replace words by words of as many tokens",
        )  # fmt: skip
    if not 2 <= len(clean) < backbone.context:
        raise CorpusError(where, expected=f"2 to {backbone.context - 1} tokens", found=len(clean))
    if "answer" not in row:
        return TokenPair(clean, corrupted)
    answer = _next(where, row["clean"], row["answer"], clean, backbone)
    foil = _next(where, row["corrupted"], row["foil"], corrupted, backbone)
    if answer == foil:
        raise CorpusError(
            where, expected="answer and foil of other first tokens",
            found=f"{row['answer']!r} and {row['foil']!r}",
        )  # fmt: skip
    return TokenPair(clean, corrupted, answer, foil)


def _ids(where: str, text: str, backbone: Backbone) -> tuple[int, ...]:
    with foreign(f"the tokenizer cannot read {where}", CorpusError):
        return tuple(backbone.tokenizer(text, add_special_tokens=False)["input_ids"])


def _next(where: str, text: str, more: str, ids: tuple[int, ...], backbone: Backbone) -> int:
    """The first token of what follows a text, as it is in the whole."""
    whole = _ids(where, text + more, backbone)
    if whole[: len(ids)] != ids or len(whole) == len(ids):
        raise CorpusError(
            f"{where}: {more!r} is no token of its own behind the text",
            expected="an answer that the text's tokens do not change with",
            hint="begin it with a space",
        )
    return whole[len(ids)]
