"""Downloads of weights from a model hub, told to whoever follows the loading of a model."""

from __future__ import annotations

import inspect
import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from transplant.backbones.hub_headers import cached_folder
from transplant.progress import Progress

MIB = 2**20
_FOLLOWED: ContextVar[Progress | None] = ContextVar("followed", default=None)


@contextmanager
def following_downloads(progress: Progress) -> Iterator[None]:
    """Reports the MiB of what is downloaded in the block, all files together."""
    token = _FOLLOWED.set(progress)
    try:
        yield
    finally:
        _FOLLOWED.reset(token)


def download_options(source: str) -> dict[str, Any]:
    """What `from_pretrained` takes so that its downloads are reported; nothing of a folder."""
    from transformers import modeling_utils

    progress = _FOLLOWED.get()
    resolve = getattr(modeling_utils, "_get_resolved_checkpoint_files", None)
    if progress is None or resolve is None or Path(source).is_dir():
        return {}
    known = "tqdm_class" in inspect.signature(resolve).parameters  # not in the first of version 5
    return {"tqdm_class": bar_class(progress)} if known else {}


def snapshot_options() -> dict[str, Any]:
    """What `snapshot_download` takes so that its downloads are reported to whoever follows."""
    progress = _FOLLOWED.get()
    return {} if progress is None else {"tqdm_class": bar_class(progress)}


def commit_of(hub_id: str, revision: str | None) -> str | None:
    """The commit that was loaded of a hub id, as the cache of downloads has it.

    Args:
        hub_id: the model.
        revision: the branch, tag or commit that was asked for; None for `main`.

    Returns:
        The commit; where the cache does not tell, what was asked for.
    """
    folder = cached_folder(hub_id, revision)
    return revision if folder is None else folder.name


def bar_class(progress: Progress) -> type:
    """A class like `tqdm` that draws nothing, and adds up what its bars count in bytes."""
    from tqdm.std import tqdm

    counted: dict[int, tuple[float, float]] = {}

    class Counter(tqdm):
        """One file's bar, or that of a file among several."""

        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})
            self._tell()

        def update(self, n: float | None = 1) -> bool | None:
            """Counts `n` more."""
            drawn = super().update(n)
            self._tell()
            return drawn

        def _tell(self) -> None:
            if self.unit == "B":
                counted[id(self)] = (self.n, max(self.total or 0, self.n))
                done, total = (sum(parts) for parts in zip(*[*counted.values()], strict=True))
                progress(int(done / MIB), max(1, int(total / MIB)), "MiB downloaded")

    return Counter
