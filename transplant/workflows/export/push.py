"""Sending an export to a repository of the hub: asked for before the work, sent after it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transplant.errors import InputError, StorageError, first_line

REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,96}/[A-Za-z0-9_.-]{1,96}")
LOG_IN = "`hf auth login`, or the variable HF_TOKEN, with a token that may write"


def check_repository(name: str) -> None:
    """Refuses what is no name of a repository.

    Raises:
        InputError: naming it.
    """
    if not REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
        raise InputError(f"`push={name!r}`", expected="OWNER/NAME, as on the hub", found=name)


def check_push(name: str) -> None:
    """Asks the hub who the token belongs to, before anything is written.

    Raises:
        InputError: no token, one that the hub does not know, or one of others than the owner.
        StorageError: the hub is not reached.
    """
    from huggingface_hub import HfApi, get_token

    check_repository(name)
    if get_token() is None:
        raise InputError(f"cannot send to {name}: no token of the hub", hint=LOG_IN)
    with _hub_errors(name):
        owner = HfApi().whoami()
    mine = {str(owner.get("name")), *(str(org.get("name")) for org in owner.get("orgs") or ())}
    if name.partition("/")[0] not in mine:
        raise InputError(
            f"cannot send to {name}: the token belongs to others",
            expected=f"one of {', '.join(sorted(mine))} before the slash",
            found=name.partition("/")[0],
        )


def push_folder(folder: Path, name: str, *, public: bool) -> dict[str, Any]:
    """Makes the repository where it is not there, and adds the folder as one commit.

    A repository that is there stays as visible as it is.

    Args:
        folder: a whole export.
        name: OWNER/NAME.
        public: whether a new repository is visible to all.

    Returns:
        `repository`, `url` and `commit`, for the report.

    Raises:
        InputError: the hub refuses it.
        StorageError: the hub is not reached.
    """
    from huggingface_hub import HfApi

    with _hub_errors(name, f" (`hf upload {name} {shlex.quote(str(folder))}` sends it again)"):
        api = HfApi()
        url = api.create_repo(name, private=not public, exist_ok=True)
        commit = api.upload_folder(
            repo_id=name, folder_path=folder, commit_message="Add the export of abi"
        )
    return {"repository": name, "url": str(url), "commit": str(getattr(commit, "oid", commit))}


@contextmanager
def _hub_errors(name: str, after: str = "") -> Iterator[None]:
    """Gives what the hub's client raises a name.

    Raises:
        InputError: the hub answered, and refuses.
        StorageError: it did not answer.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    what = f"cannot send to {name}"
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise InputError(f"{what}: no token of the hub{after}", hint=LOG_IN) from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise InputError(
                f"{what}: the hub refuses the token{after}", found=f"status {status}", hint=LOG_IN
            ) from error
        raise StorageError(f"{what}: the hub refuses{after}", found=first_line(error)) from error
    except Exception as error:  # what its client's transport raises, whichever that is
        raise StorageError(
            f"{what}: the hub is not reached{after}", found=first_line(error),
            hint="when there is a network, or without `push`",
        ) from error  # fmt: skip
