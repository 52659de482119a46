"""Rows of a data set of the `datasets` package, as they stream in."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from transplant.backbones.hub_ids import is_out_of_reach
from transplant.errors import CorpusError, foreign
from transplant.files.plain import expand
from transplant.text.row_form import Row, RowForm


def from_datasets(source: str, form: RowForm, hint: str) -> Iterator[Row]:
    """Yields the text of each row of a split, which may have no end.

    Args:
        source: `NAME`, `NAME:config` or `NAME:config:split`, where NAME is the id or the folder of
            a data set; an empty configuration is the default one, the split `train`.
        form: how rows are read.
        hint: what else a corpus may be, for the error.

    Raises:
        CorpusError: `datasets` is missing, or cannot load it.
    """
    name, config, split = check_data_set(source, hint)
    import datasets

    what = f"corpus {source!r} is no file, no folder, and `datasets` cannot load it"
    with foreign(what, CorpusError, hint=f"give {hint}"):
        named = (name, config) if config else (name,)
        rows = iter(datasets.load_dataset(*named, split=split or "train", streaming=True))
    # Reading a row is fenced apart from loading: it fails in the middle of a known data set.
    number = 0
    with foreign(f"data set {source!r} cannot be read", CorpusError):
        for number, row in enumerate(rows):
            yield form.row_of(row, f"{source}[{number}]")


def check_data_set(source: str, hint: str) -> tuple[str, str, str]:
    """The name of a data set, its configuration and its split, where it could be read at all.

    Args:
        source: as of `from_datasets`.
        hint: what else a corpus may be, for the error.

    Raises:
        CorpusError: no such form, `datasets` is missing, or the data set is neither here nor to be
            fetched.
    """
    name, *parts = source.split(":")
    if not name or len(parts) > 2:
        raise CorpusError(
            f"no such data set: {source!r}", expected="NAME, NAME:config or NAME:config:split"
        )
    if find_spec("datasets") is None:
        raise CorpusError(
            f"no file or folder {source!r}, and reading it as a data set needs `datasets`",
            hint="pip install 'abi-transplant[data]'",
        )
    what = f"corpus {source!r} is no file, no folder, and `datasets` cannot load it"
    with foreign(what, CorpusError, hint=f"give {hint}"):
        if not _is_here(name) and is_out_of_reach():  # `datasets` would try for half a minute
            raise CorpusError(
                f"no file or folder {name!r}, no data set in the cache, and no way to the hub",
                hint=f"give {hint}",
            )
    config, split = (*parts, "", "")[:2]
    return name, config, split


def _is_here(name: str) -> bool:
    """Whether a data set is a folder, or in the cache of `datasets`."""
    from datasets.config import HF_DATASETS_CACHE
    from datasets.naming import camelcase_to_snakecase

    *owner, own = name.split("/")
    kept = Path(HF_DATASETS_CACHE, "___".join([*owner, camelcase_to_snakecase(own)]))
    return expand(name).exists() or kept.is_dir()
