"""The base that a LoRA says it was trained on, compared with the one that is given."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, TransplantError
from transplant.files.plain import expand
from transplant.workflows.adapters import last_part
from transplant.workflows.hub_origin import hub_origin
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.library import Fingerprints
    from transplant.surgery.lora.settings import LoraSettings

COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class BaseCheck:
    """How a recorded base was compared with the given one."""

    recorded: str | None
    """As the adapter's maker called it."""
    revision: str | None
    """Of it, on a hub."""
    by: str
    """`weights` where fingerprints were compared, else `name` or `nothing`."""
    agrees: bool
    """Whether it is the given one, as far as that could be told."""

    def to_dict(self) -> dict[str, Any]:
        """As manifests hold it."""
        return dict(vars(self))


def check_base(
    work: Work, adapter: Path, settings: LoraSettings, base: Backbone, *, other_base: bool
) -> BaseCheck:
    """Compares the recorded base with the given one: by weights where it is at hand, else by name.

    Args:
        work: the setting.
        adapter: the folder, for messages.
        settings: what the adapter says.
        base: the given backbone.
        other_base: whether another one is meant, and only warned of.

    Raises:
        InputError: it was trained on another base.
    """
    recorded, revision = settings.base or None, settings.revision
    if recorded is None:
        work.reporter.warn(f"{adapter} does not say which base it was trained on")
        return BaseCheck(None, revision, "nothing", True)
    weights = _weights_of(work, recorded, revision, base)
    if weights is not None:
        check = BaseCheck(recorded, revision, "weights", weights == base.weights_sha256)
        expected, found = f"weights {weights[:12]}", f"weights {base.weights_sha256[:12]}"
    else:
        named = last_part(recorded) in {last_part(name) for name in names_of(work, base)}
        moved = _other_commit(revision, _commits_of(work, base, recorded))
        check = BaseCheck(recorded, revision, "name", named and not moved)
        expected = recorded + (f" at {revision}" if revision else "")
        commits = sorted(_commits_of(work, base, recorded))
        found = base.name + (f" at {', '.join(commits)}" if commits else "")
    if check.agrees:
        if check.by == "name":
            work.reporter.warn(
                f"{recorded}, on which {adapter} was trained, is not at hand: its name is that of "
                f"{base.name}, its weights are not compared"
            )
        return check
    if not other_base:
        raise InputError(
            f"{adapter} was trained on {recorded}, and {base.name} is another base",
            expected=expected, found=found, hint="that base, or `other_base=True` if it is meant",
        )  # fmt: skip
    work.reporter.warn(
        f"{adapter} was trained on {recorded} ({expected}), not on {base.name} ({found})"
    )
    return check


def names_of(work: Work, base: Backbone) -> set[str]:
    """What a backbone is called: by the library, and where it came from."""
    names = {base.name, *work.library.called(base)}
    for name in [*names]:
        if work.library.holds_backbone(name):
            added = work.library.find("backbone", name).manifest.made.get("added", {})
            names |= {str(added[key]) for key in ("hub", "from") if added.get(key)}
    return names


def _commits_of(work: Work, base: Backbone, recorded: str) -> set[str]:
    """The commits that a backbone is known to be of: its own, or that it was added from."""
    origins = [hub_origin(work, name) for name in {base.name, *work.library.called(base)}]
    added = {one.revision for one in origins if one is not None and one.id == recorded}
    return {one for one in (base.revision, *added) if one}


def _other_commit(recorded: str | None, given: Set[str]) -> bool:
    """Whether two commits are known, and differ; a branch says nothing."""
    known = {one for one in given if COMMIT.fullmatch(one)}
    return bool(recorded and COMMIT.fullmatch(recorded) and known) and recorded not in known


def _weights_of(work: Work, name: str, revision: str | None, base: Backbone) -> str | None:
    """The fingerprint of the weights of a name, where they are on this machine."""
    folder, own = expand(name), work.library.backbone_path(base.name) or expand(base.name)
    if folder.is_dir() and own.is_dir() and folder.resolve() == own.resolve():
        return base.weights_sha256
    known: Fingerprints | None = None
    if not folder.is_dir() and work.library.holds_backbone(name):
        known = work.library.backbone_record(name)
    if known is not None:
        return known.weights_sha256
    place = str(folder) if folder.is_dir() else _downloaded(name, revision)
    if place is None:
        return None
    try:
        return work.backbone(place).weights_sha256
    except TransplantError as error:
        work.reporter.warn(f"{name} cannot be compared: {error.what}")
        return None


def _downloaded(name: str, revision: str | None) -> str | None:
    """The folder of a hub id that was downloaded before; nothing is downloaded here."""
    if name.count("/") != 1:
        return None
    try:
        from huggingface_hub import snapshot_download

        return snapshot_download(name, revision=revision, local_files_only=True)
    except Exception:  # noqa: BLE001  not there, or no hub id: its maker's own errors are many
        return None
