"""Revisions of backbones from a hub, asked for by hub id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from transplant.errors import InputError


def check_revisions(revision: str | Mapping[str, str] | None, words: Iterable[str]) -> None:
    """Refuses, before the work, a revision of a backbone that the work does not use.

    Args:
        revision: as `Work` takes it; one for all backbones has a use wherever there is one.
        words: names of backbones and of what is hosted on them; other words may be among them.

    Raises:
        InputError: none of the words names the backbone of a revision.
    """
    asked = revision if isinstance(revision, Mapping) else {}
    text = "\n".join(words)
    for backbone in filter(None, asked):
        if not re.search(rf"(?<![\w./-]){re.escape(backbone)}(/d\d+)?(?![\w./-])", text):
            raise InputError(
                f"`revision` of {backbone}, which is not used here",
                expected="of a backbone that is named", found=f"{backbone}={asked[backbone]}",
                hint="its whole id, or one revision for every backbone",
            )  # fmt: skip
