"""Mutated corpora: each is read, or refused in one line that names the file; none takes long.

`ABI_FUZZ_INPUTS=10000` tries as many; the draws are the same in every run.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from transplant.errors import CorpusError
from transplant.text.documents import read_corpus

INPUTS = int(os.environ.get("ABI_FUZZ_INPUTS", "700"))
SECONDS = 10.0  # of one input
ROWS = [{"text": "one text"}, {"id": 1, "content": "another \u00e9 \U0001f600"}, "a third"]
SEEDS = {
    ".jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    ".json": json.dumps(ROWS).encode(),
    ".csv": b'id,text,l\r\n1,"a ""quoted"" word",x\r\n2,plain,y\r\n',
    ".tsv": b'id\ttext\n1\tone\n2\t"two\nlines"\n',
    ".pgn": b'[Event "x"]\n\n1. e4 {c} e5 (1... c5) 2. Nf3 $1 Nc6 1-0\n\n1. d4 d5 *\n',
    ".txt": "some text \u00e9 \U0001f600\r\n".encode(),
}
PIECES = [
    b"\0", b"\xff", b"\xef\xbb\xbf", b'"', b"{", b"}", b"[", b"]", b"\\ud800", b"\\u0000", b"\n",
    b"\r", b",", b"\t", b"(", b")", b"1e999", b"9" * 4500, b"[" * 20_000, b'{"text":' * 3000,
    b"null", b"NaN", b"\xc3", b"\xed\xa0\x80",
]  # fmt: skip


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("seeds") / "seed.parquet"
    parquet.write_table(pa.table({"text": [f"the text of row {n}" for n in range(9)]}), path)
    return {**SEEDS, ".parquet": path.read_bytes()}


def mutated(seed: bytes, draw: random.Random) -> bytes:
    """A seed with bits flipped, pieces put in, cut out or doubled."""
    made = bytearray(seed)
    for _ in range(draw.choice([1, 1, 2, 5])):
        place = draw.randrange(len(made) + 1)
        kind = draw.randrange(4)
        if kind == 0 and made:
            made[place % len(made)] ^= 1 << draw.randrange(8)
        elif kind == 1:
            made[place:place] = draw.choice(PIECES)
        elif kind == 2:
            del made[place : place + draw.randrange(1, 30)]
        else:
            made[place:place] = made[: draw.randrange(len(made) + 1)]
    return bytes(made)


def test_every_input_is_read_or_named(tmp_path: Path, seeds: dict[str, bytes]) -> None:
    draw = random.Random(0)
    read = named = 0
    for number in range(INPUTS):
        suffix = draw.choice(sorted(seeds))
        path = tmp_path / f"{number}{draw.choice([suffix, suffix.upper()])}"
        path.write_bytes(mutated(seeds[suffix], draw))
        began = time.monotonic()
        try:
            corpus = read_corpus(str(path), skip_bad=bool(number % 2))
            read += 1
            assert all("\0" not in document.text for document in corpus.documents)
        except CorpusError as error:
            line = str(error)
            named += 1
        else:
            line = str(path)
        assert str(path) in line
        assert "\n" not in line
        assert time.monotonic() - began < SECONDS, path
        path.unlink()
    assert read > INPUTS / 5
    assert named > INPUTS / 5
