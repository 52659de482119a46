"""Files of minimal pairs: lines of JSON, as this library, BLiMP or a user writes them.

BLiMP (Warstadt et al. 2020, doi 10.1162/tacl_a_00321) calls the texts `sentence_good` and
`sentence_bad` and has a `field` and a `UID` of each paradigm. Others need `good` and `bad` alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transplant.counterfactuals.grammars import DrawnPair
from transplant.errors import CorpusError, StorageError, foreign
from transplant.files.plain import expand
from transplant.files.strict_json import parse
from transplant.files.whole_file import whole_file

SIDES = (("good", "bad"), ("sentence_good", "sentence_bad"))
SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz")
LARGEST = 1 << 20  # bytes of a line
FORM = "an object with `good` and `bad`, or `sentence_good` and `sentence_bad`"


@dataclass(frozen=True)
class Pair:
    """A right and a wrong text, and what they are counted with."""

    good: str
    bad: str
    field: str
    """What its accuracy is reported under."""
    paradigm: str
    """A finer one: BLiMP's `UID`; else the same."""
    couple: str
    """Pairs of one couple are no independent measurements: they are resampled together."""


@dataclass(frozen=True)
class PairFile:
    """What was read of a source of pairs."""

    pairs: tuple[Pair, ...]
    identical: tuple[str, ...]
    """Where the two texts were the same: such pairs are left out."""
    sha256: str
    """Of the lines of all files, unpacked."""


def write_pairs(path: Path, task: str, drawn: Iterable[DrawnPair]) -> None:
    """Writes drawn pairs as lines of JSON, whole or not at all.

    Raises:
        StorageError: the disk refused.
    """
    try:
        with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
            for one in drawn:
                row = {
                    "good": one.pair.good, "bad": one.pair.bad, "label": one.pair.label,
                    "task": task, "field": one.field, "couple": one.couple,
                }  # fmt: skip
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        raise StorageError(f"cannot write {path}", found=error.strerror) from error


def read_pairs(source: str | Path) -> PairFile:
    """Reads all pairs of a file, or of every such file in a folder.

    Raises:
        CorpusError: nothing there, or a line that is no pair, by file and line; or all pairs have
            two identical texts.
    """
    pairs: list[Pair] = []
    identical: list[str] = []
    digest = hashlib.sha256()
    for path in _files(expand(source)):
        with foreign(f"{path} cannot be read", CorpusError):
            for number, raw in _lines(path):
                digest.update(raw)
                if not raw.strip():
                    continue
                where = f"{path}:{number}"
                pair = _pair(raw, where)
                if pair.good == pair.bad:
                    identical.append(where)
                else:
                    pairs.append(pair)
    if not pairs:
        found = f"{len(identical)} of identical texts" if identical else "none"
        raise CorpusError(f"no pairs in {source}", expected=FORM, found=found)
    return PairFile(tuple(pairs), tuple(identical), digest.hexdigest())


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.name.endswith(SUFFIXES))
        if not found:
            raise CorpusError(
                f"no pairs in {path}", expected=f"files named {' or '.join(SUFFIXES)}"
            )
        return found
    if not path.is_file():
        raise CorpusError(
            f"no such file of pairs: {path}", hint="`cfgen(task='agreement', out='FILE')` makes one"
        )
    if not path.name.endswith(SUFFIXES):
        raise CorpusError(
            f"{path} is not understood", expected=" or ".join(SUFFIXES), found=path.suffix or "none"
        )
    return [path]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        number = 0
        while raw := file.readline(LARGEST + 1):
            number += 1
            if len(raw) > LARGEST:
                raise CorpusError(
                    f"{path}:{number} is too long", expected=f"at most {LARGEST:,} bytes"
                )
            yield number, raw


def _pair(raw: bytes, where: str) -> Pair:
    try:
        row = parse(raw.decode("utf-8"))
    except ValueError as error:
        raise CorpusError(f"{where} is not JSON", expected=FORM, found=str(error)) from error
    if not isinstance(row, dict):
        raise CorpusError(f"{where} is no pair", expected=FORM, found=type(row).__name__)
    names = next((sides for sides in SIDES if set(sides) <= set(row)), None)
    if names is None:
        raise CorpusError(f"{where} is no pair", expected=FORM, found=f"{sorted(row)[:6]}")
    good, bad = (_text(row, name, where) for name in names)
    field = _word(row, "field", where) or _word(row, "task", where) or "all"
    paradigm = _word(row, "UID", where) or field
    return Pair(good, bad, field, paradigm, _word(row, "couple", where) or where)


def _text(row: dict[str, Any], name: str, where: str) -> str:
    value = row[name]
    if not isinstance(value, str) or not value.strip():
        found = "no text" if isinstance(value, str) else type(value).__name__
        raise CorpusError(f"{where}, `{name}`", expected="a text", found=found)
    return value


def _word(row: dict[str, Any], name: str, where: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise CorpusError(f"{where}, `{name}`", expected="a text", found=type(value).__name__)
    return value
