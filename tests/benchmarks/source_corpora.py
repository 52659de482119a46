"""Corpora of `bench_sources`: those that are trained on, and sources of which nothing is."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from transplant.text import builtin
from transplant.text.documents import Document, read_documents
from transplant.text.splits import Splits, split_documents

HELD_OUT = ("typer", "sympy", "peft", "pandas", "networkx", "torch/optim", "rich")
RELATED = frozenset({"click"})  # which typer has a copy of
SPLIT = "held-out packages"
HOME = "standard library"
PLACES = {"anywhere": 0, "beginnings": None}
"""Where the windows are that rows are judged on: the seed that places are drawn by, if any."""


class Sources:
    """The corpora, as files and as documents.

    Args:
        folder: where files are written, if they are not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, Path(sysconfig.get_paths()["purelib"])
        folder.mkdir(parents=True, exist_ok=True)
        packages = folder / "packages.jsonl"
        if not packages.is_file():
            named = {name.partition("/")[0] for name in HELD_OUT} | RELATED
            rows = builtin.packages_of(self.site)
            write_rows(packages, [row for row in rows if row[0].lower() not in named])
        for name in HELD_OUT:
            if not self.file_of(name).is_file():
                rows = builtin.source_of(self.site / name, builtin.SKIPPED | {"_click"})
                write_rows(self.file_of(name), rows)
        self.texts = {
            "python": "python", "packages": str(packages), "both": f"python,{packages}",
        }  # fmt: skip

    def file_of(self, name: str) -> Path:
        """The file of a source."""
        return self.folder / f"{name.replace('/', '.').replace(' ', '-')}.jsonl"

    @cached_property
    def splits(self) -> dict[str, Splits]:
        """What is trained on, by name."""
        return {n: split_documents(read_documents(text)) for n, text in self.texts.items()}

    @cached_property
    def prose(self) -> Splits:
        """General text, for the gate."""
        return split_documents(read_documents("prose", max_chars=4_000_000))

    @cached_property
    def judged(self) -> dict[str, Sequence[Document]]:
        """What modules are judged on, by name: nothing of it is trained on in any row."""
        named = {name: read_documents(str(self.file_of(name))) for name in HELD_OUT}
        home, split = self.splits["python"].eval, self.splits["packages"].eval
        return {HOME: home, SPLIT: split, **named}


def write_rows(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Writes named texts as a corpus."""
    lines = (json.dumps({"name": name, "text": text}) + "\n" for name, text in rows)
    path.write_text("".join(lines), encoding="utf-8")
