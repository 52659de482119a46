"""Where a corpus is: built in, a file or a folder, or a data set; nothing of it is read here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from transplant.errors import CorpusError, InputError
from transplant.files.plain import expand
from transplant.text import builtin
from transplant.text.files import PACKED, UNDERSTOOD
from transplant.text.hub import check_data_set
from transplant.text.several import names_of

BUILT_IN = ", ".join(f"`{name}`" for name in builtin.BUILTIN)
SOURCES_HINT = f"a folder, a file ({UNDERSTOOD}), a `datasets` id, or one of {BUILT_IN}"
VERSION = re.compile(r"\.\d[\w-]*")
"""What stands behind the last dot of a data set's name, as of OpenHermes-2.5; files have others."""


def check_corpus(source: str) -> None:
    """Refuses a corpus of which nothing could be read, before a model is loaded for it.

    What a file or a data set holds is seen as it is read, and not here.

    Args:
        source: as of `read_corpus`.

    Raises:
        CorpusError: there is no such file, folder or data set.
    """
    for name in names_of(source):
        if name not in builtin.BUILTIN and not os.path.lexists(path_of(name)):
            check_is_data_set(name)


def path_of(source: str) -> Path:
    """Where a file or a folder of this name would be.

    Raises:
        CorpusError: no name, or one that can be no path.
    """
    if not source.strip():
        raise CorpusError(f"no such corpus: {source!r}", hint=f"give {SOURCES_HINT}")
    try:
        return expand(source)
    except InputError as error:
        raise CorpusError(error.what, expected=error.expected, found=error.found) from error


def check_is_data_set(source: str) -> None:
    """Refuses what is no file or folder, and can be no data set that could be read.

    Raises:
        CorpusError: naming what a corpus may be.
    """
    if not _is_data_set(source):
        raise CorpusError(f"no such corpus: {source}", hint=f"give {SOURCES_HINT}")
    check_data_set(source, SOURCES_HINT)


def _is_data_set(source: str) -> bool:
    """Whether it may be the id of a data set; a folder is one where a configuration follows it."""
    name, colon, _ = source.partition(":")
    if colon and os.path.isdir(name):
        return True
    suffix = Path(name).suffix.lower()
    is_file = bool(suffix) and (suffix in PACKED or not VERSION.fullmatch(suffix))
    return name.count("/") <= 1 and not is_file and not name.startswith((".", "~", "/"))
