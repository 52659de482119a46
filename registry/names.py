"""Names of hosted models, and the folder names that they become.

A hosted model is named `<module>@<backbone>`; `/d<d_abi>` is added where a name is ambiguous
(`/d0`: what belongs to no shared space). A bare name is read as a backbone's here; where there is
none of that name and one backbone hosts a module of it, whoever loads it completes it
(`transplant.loading.bare_names`). A backbone is a registry name, a hub id (`owner/model`) or a
folder; a folder whose own name looks like `d128` is written with a slash at its end
(`./runs/d128/`).
"""

from __future__ import annotations

import hashlib
import os
import re

from transplant.errors import InputError
from transplant.library import HostedName

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MAX_NAME = 128
_D_ABI_SUFFIX = re.compile(r"/d(0|[1-9][0-9]*)\Z")
_PATH_STARTS = (".", "/", "~")


def parse_hosted(text: str) -> HostedName:
    """Parse `[<module>@]<backbone>[/d<d_abi>]`; `str` gives the text back.

    Raises:
        InputError: a part is empty or holds characters that a name cannot have.
    """
    module, rest = None, text
    head, at, tail = text.partition("@")
    if at and not head.startswith(_PATH_STARTS):
        module, rest = check_name(head, "name of a module"), tail
    suffix = _D_ABI_SUFFIX.search(rest)
    backbone = rest[: suffix.start()] if suffix else rest
    backbone_key(backbone)
    return HostedName(module, backbone, int(suffix[1]) if suffix else None)


def backbone_key(backbone: str) -> str:
    """The folder of a backbone under the registry root.

    A registry name stays as it is, `org/model` becomes `org--model`, and a folder becomes its base
    name and 8 hex digits of the sha256 of its absolute path.

    Raises:
        InputError: neither a name, nor a hub id, nor a path.
    """
    if is_folder(backbone):
        path = os.path.abspath(os.path.expanduser(backbone))
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", os.path.basename(path)).lstrip("._-")[:80]
        return f"{base or 'folder'}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    try:
        return "--".join(check_name(part, "name of a backbone") for part in backbone.split("/"))
    except InputError as error:
        if not os.path.isdir(backbone):
            raise
        raise InputError(
            error.what, expected=error.expected, found="a folder of that name",
            hint=f"./{backbone}, which is that folder",
        ) from None  # fmt: skip


def check_name(name: str, what: str = "name") -> str:
    """Return `name` where it can be a folder name; nothing that passes can leave the registry.

    Raises:
        InputError: it holds a slash, starts with a dot, is empty or too long.
    """
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise InputError(
            f"{name!r} is no {what}",
            expected=f"letters, digits, '.', '_' or '-', a letter or digit first, "
            f"at most {_MAX_NAME} of them",
            hint="a name such as python@ref-gpt2 (`list()` shows those that exist)",
        )
    return name


def is_hub_id(backbone: str) -> bool:
    """Whether a backbone's name is that of one on a hub: `org/model`."""
    return backbone.count("/") == 1 and not is_folder(backbone)


def is_folder(backbone: str) -> bool:
    """Whether a backbone's name is a path."""
    # A single slash is a hub id unless that folder exists: from_pretrained decides the same way.
    return (
        backbone.startswith(_PATH_STARTS)
        or backbone.endswith("/")
        or "\\" in backbone
        or backbone.count("/") > 1
        or ("/" in backbone and os.path.isdir(backbone))
    )
