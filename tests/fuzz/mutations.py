"""Mutations of files: of their bytes, of JSON by its structure, and of a header before its data."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3, 2**31, 2**64, 10**400, 1.5, -0.0, 1e308, "", " ", "8",
    "x" * 300, "\ud800", "\x1b[2J", "\0", "../../outside/secret.txt", "a\nb", "(", "[a-", "(a+)+$",
    ".*", "*",
    r"(.*.*)*\d", [], {}, [None], {"": None}, [[]] * 9, {"a": {"b": {"c": 1}}}, ["(", 5],
)  # fmt: skip
PIECES = (
    b"\0", b"\xff", b"\xef\xbb\xbf", b'"', b"{", b"}", b"[", b"]", b"\\ud800", b"\\u0000", b"\n",
    b"\r", b",", b":", b"\t", b"1e999", b"9" * 4500, b"[" * 20_000, b'{"a":' * 3000, b"null",
    b"NaN", b"-Infinity", b"\xc3", b"\xed\xa0\x80", b'"a":1,"a":1,',
)  # fmt: skip


def mutated_bytes(seed: bytes, draw: random.Random) -> bytes:
    """Bytes with bits flipped, pieces put in, cut out or doubled, or the end gone."""
    made = bytearray(seed)
    for _ in range(draw.choice((1, 1, 2, 5))):
        place = draw.randrange(len(made) + 1)
        kind = draw.randrange(6)
        if kind < 2 and made:
            made[place % len(made)] ^= 1 << draw.randrange(8)
        elif kind == 2:
            made[place:place] = draw.choice(PIECES)
        elif kind == 3:
            del made[place : place + draw.randrange(1, 30)]
        elif kind == 4:
            made[place:place] = made[: draw.randrange(min(len(made), 5000) + 1)]
        else:
            del made[place:]
    return bytes(made)


def mutated_json(seed: bytes, draw: random.Random) -> bytes:
    """JSON in which one or two things are others, gone, renamed, or nested; seldom its bytes."""
    if draw.random() < 0.2:
        return mutated_bytes(seed, draw)
    value = json.loads(seed)
    places = list(_places(value))
    for _ in range(draw.choice((1, 1, 2))):
        holder, key = draw.choice(places)
        with contextlib.suppress(KeyError, IndexError):  # the second change of one place
            change(holder, key, draw, ODD)
    return json.dumps(value).encode()


def mutated_header(seed: bytes, draw: random.Random) -> bytes:
    """A safetensors file with a mutated header, its length right or wrong; seldom its data."""
    size = int.from_bytes(seed[:8], "little")
    header, data = seed[8 : 8 + size], seed[8 + size :]
    what = draw.random()
    if what < 0.2:
        return seed[: 8 + size] + mutated_bytes(data, draw)
    if what < 0.3:
        return draw.randrange(2 ** draw.randrange(1, 64)).to_bytes(8, "little") + header + data
    made = mutated_json(header, draw)
    return len(made).to_bytes(8, "little") + made + data


def change(holder: Any, key: Any, draw: random.Random, odd: Sequence[Any]) -> None:
    """Deletes, wraps, nests, renames or replaces one value of a JSON object."""
    what = draw.randrange(8)
    if what == 0:
        del holder[key]
    elif what == 1:
        holder[key] = [holder[key]]
    elif what == 2:
        deep: Any = holder[key]
        for _ in range(draw.choice((3, 70, 400))):
            deep = {"a": deep} if draw.random() < 0.5 else [deep]
        holder[key] = deep
    elif what == 3 and isinstance(holder, dict):
        holder[str(draw.choice(odd))] = holder.pop(key)
    else:
        holder[key] = draw.choice(odd)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key, those at the top more often than one in a long list."""
    keys = list(value) if isinstance(value, dict) else range(min(len(value), 40))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
