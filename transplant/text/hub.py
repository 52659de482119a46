"""Rows of a data set of the `datasets` package, as they stream in."""

from __future__ import annotations

from collections.abc import Iterator

from transplant.errors import CorpusError, foreign
from transplant.text.rows import Row, row_of


def from_datasets(name: str, hint: str) -> Iterator[Row]:
    """Yields the text of each row of the training split, which may have no end.

    Args:
        name: the id of the data set.
        hint: what else a corpus may be, for the error.

    Raises:
        CorpusError: `datasets` is missing, or cannot load it.
    """
    try:
        import datasets
    except ImportError as error:
        raise CorpusError(
            f"no file or folder {name!r}, and reading it as a data set needs `datasets`",
            hint="pip install 'abi-transplant[data]'",
        ) from error
    what = f"corpus {name!r} is no file, no folder, and `datasets` cannot load it"
    with foreign(what, CorpusError, hint=f"give {hint}"):
        rows = iter(datasets.load_dataset(name, split="train", streaming=True))
    # Reading a row is fenced apart from loading: it fails in the middle of a known data set.
    number = 0
    with foreign(f"data set {name!r} cannot be read", CorpusError):
        for number, row in enumerate(rows):
            yield row_of(row, f"{name}[{number}]")
