"""A backbone into the library under a short name: of a folder, a hub or a GGUF file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.dtypes import AUTO
from transplant.errors import BackboneError, ExistsError, InputError, foreign
from transplant.files.plain import expand, real
from transplant.files.shards import weight_files
from transplant.workflows.licences import license_in
from transplant.workflows.scratch import scratch_folder

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.library import Entry
    from transplant.workflows.work import Work

UNPACKED = "bfloat16"  # what a GGUF file's weights are stored in where nothing else is asked for
AS_STORED = (
    "weights stay as they are stored: `dtype` is what a .gguf is unpacked to here, and what verbs "
    "that compute take"
)
HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "README.md")
NOT_READ = ("*/*", "consolidated*")  # the same weights once more, in forms that others read


@dataclass(frozen=True, kw_only=True)
class AddJob:
    """What to add, under which name."""

    source: str | Path
    """A folder, a hub id or a `.gguf` file."""
    name: str
    """In the library."""
    copy: bool = False
    """Whether the files are copied; a `.gguf` is always unpacked into the library."""
    replace: bool = False
    """Whether a reference to the same weights may go."""


def run_add(work: Work, job: AddJob) -> dict[str, Any]:
    """Checks, loads, fingerprints and stores a backbone; returns the report.

    Raises:
        ExistsError: the name is taken.
        InputError: a name that cannot be one, a source inside the library, no package `gguf`.
        BackboneError: no such source, one that cannot be loaded, or that does not fit into memory.
        StorageError: the disk is too full.
    """
    from transplant.files.gguf import is_gguf

    began = time.monotonic()
    source = expand(str(job.source))
    _check_outside(work, job, source)
    packed = not source.is_dir() and is_gguf(source)
    if job.replace:
        _check_reference(work, job, packed)
    if not packed and work.dtype != AUTO:
        work.reporter.note(AS_STORED)
    if packed:
        entry, backbone = _add_gguf(work, job, source)
    elif source.is_dir():
        entry, backbone = _add_folder(work, job, source.absolute(), {})
    else:
        entry, backbone = _add_hub(work, job)
    return {**_report(work, entry, backbone), "seconds": time.monotonic() - began}


def _add_folder(
    work: Work, job: AddJob, folder: Path, origin: dict[str, str | None]
) -> tuple[Entry, Backbone]:
    from transplant.backbones.folder import check_folder

    _check_text(folder)
    size = sum(file.stat().st_size for file in weight_files(folder))
    work.library.claim(
        ("backbone",), job.name, None, None, replace=job.replace, needed=size if job.copy else 0
    )
    check_folder(folder)
    backbone = _load(work, job.name, folder)
    added = {"from": str(job.source), "path": str(folder), **origin}
    if job.copy:
        made = work.made(added={**added, "by": "copy"})
        entry = work.library.store_backbone(
            folder, backbone=backbone, taps=backbone.all_taps, made=made,
            license=license_in(folder),
        )  # fmt: skip
    else:
        entry = work.library.store_reference(
            folder, backbone=backbone, taps=backbone.all_taps, replace=job.replace,
            made=work.made(added={**added, "by": "reference"}),
        )  # fmt: skip
    return entry, backbone


def _add_hub(work: Work, job: AddJob) -> tuple[Entry, Backbone]:
    from transplant.backbones.hub_ids import can_be_hub_id, is_out_of_reach
    from transplant.backbones.load import check_device
    from transplant.backbones.memory import check_hub_fits

    if not job.replace:
        work.library.check_free(("backbone",), job.name, None, None)
    hub_id = str(job.source)
    a_path = hub_id.startswith((".", "/", "~")) or hub_id.count("/") > 1 or "\\" in hub_id
    if a_path or not can_be_hub_id(hub_id):
        raise BackboneError(
            f"no such folder or file: {hub_id}",
            expected="a save_pretrained folder, a .gguf file, or a hub id as owner/model",
        )
    revision, offline = work.revision_of(hub_id), is_out_of_reach()
    if work.device_map is None:
        place = check_device(work.device)
        check_hub_fits(hub_id, revision, hub_id, AUTO, place, offline=offline)
    folder = get_from_hub(work, hub_id, revision, offline=offline)
    return _add_folder(work, job, folder, {"hub": hub_id, "revision": folder.name})


def get_from_hub(work: Work, hub_id: str, revision: str | None, *, offline: bool) -> Path:
    """The folder of a model's files, fetched where they are not here yet; no code, no pickles.

    Args:
        work: the setting of the job.
        hub_id: the model.
        revision: a branch, a tag or a commit; None for `main`.
        offline: whether the hub is out of reach, so that the cache of downloads is all there is.

    Raises:
        BackboneError: no such model, or no network.
    """
    with foreign(
        f"cannot get {hub_id} from the hub", BackboneError,
        expected="a folder, a .gguf file, or a hub id", hint=f"whether {hub_id} is a folder here",
    ):  # fmt: skip
        from huggingface_hub import snapshot_download

        from transplant.backbones.downloads import following_downloads, snapshot_options

        title = f"getting {hub_id}"
        work.reporter.note(title)
        with work.reporter.progress(title) as progress, following_downloads(progress):
            return Path(
                snapshot_download(
                    hub_id, revision=revision, allow_patterns=[*HUB_FILES],
                    ignore_patterns=[*NOT_READ], local_files_only=offline, **snapshot_options(),
                )
            )  # fmt: skip


def _add_gguf(work: Work, job: AddJob, file: Path) -> tuple[Entry, Backbone]:
    from transplant.backbones.dequantise import check_gguf, check_loads, dequantise, sha256_of
    from transplant.backbones.load import check_device
    from transplant.backbones.memory import WIDTHS

    dtype = UNPACKED if work.dtype == AUTO else str(work.dtype)
    file = file.absolute()
    _check_text(file)
    work.library.check_free(("backbone",), job.name, None, None)
    header = check_gguf(file, dtype)
    if work.device_map is None:
        check_loads(header, dtype, check_device(work.device))
    work.library.claim(("backbone",), job.name, None, None, needed=header.numbers * WIDTHS[dtype])
    with work.reporter.progress(f"hashing {file.name}") as progress:
        sha256 = sha256_of(file, progress)
    with scratch_folder(work, job.name, "adding") as folder:
        title = f"unpacking {file.name} to {dtype}"
        work.reporter.note(title)
        with work.reporter.progress(title):
            dequantise(file, folder, dtype)
        backbone = _load(work, job.name, folder)
        added = {
            "from": str(job.source), "path": str(file), "by": "gguf", "sha256": sha256,
            "architecture": header.architecture, "dtype": dtype,
        }  # fmt: skip
        entry = work.library.store_backbone(
            folder, backbone=backbone, taps=backbone.all_taps, made=work.made(added=added),
            parents={"gguf": sha256}, move=True,
        )  # fmt: skip
    return entry, backbone


def _load(work: Work, name: str, folder: Path) -> Backbone:
    from transplant.backbones.load import load_backbone

    title = f"loading {folder}"
    work.reporter.note(title)
    with work.reporter.progress(title):
        return load_backbone(
            name, path=folder, remembered=work.library.checked_file, device=work.device,
            device_map=work.device_map, max_memory=work.max_memory,
            offload_folder=work.offload_folder,
        )  # fmt: skip


def _report(work: Work, entry: Entry, backbone: Backbone) -> dict[str, Any]:
    added = entry.manifest.made["added"]
    folder = Path(added["path"]) if added["by"] == "reference" else entry.path
    made_for = work.library.entries(None, backbone.name)
    return {
        "name": backbone.name,
        "family": backbone.family,
        "parameters": sum(parameter.numel() for parameter in backbone.model.parameters()),
        "d_model": backbone.d_model,
        "layers": backbone.n_layers,
        "vocabulary": backbone.vocab_size,
        "context": backbone.context,
        "weights_sha256": backbone.weights_sha256,
        "tokenizer_sha256": backbone.tokenizer_sha256,
        "config_sha256": backbone.config_sha256,
        "added": added,
        "folder": str(folder),
        "bytes": sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        "known": sorted(each.hosted for each in made_for if each.manifest.kind == "module"),
        "notes": backbone.notes,
        "path": str(entry.path),
    }


def _check_outside(work: Work, job: AddJob, source: Path) -> None:
    """Refuses what the library has already: a name of it, or a folder within it."""
    if source.exists():
        if real(source).is_relative_to(real(work.library.root)):
            raise InputError(
                f"{source} is inside the registry", expected="a folder of your own",
                hint="`list(kind='backbone')`",
            )  # fmt: skip
        return
    text = str(job.source)
    if "/" not in text and "\\" not in text and text and work.library.holds_backbone(text):
        raise InputError(
            f"{text} is in the registry already", expected="a folder, a hub id or a .gguf file",
            hint=f"`show({text!r})`",
        )  # fmt: skip


def _check_reference(work: Work, job: AddJob, packed: bool) -> None:
    """Refuses to replace anything but a reference, by a reference."""
    if packed or job.copy:
        raise InputError(
            "`replace` makes a reference lead elsewhere",
            expected="a folder or a hub id, without `copy`", found=str(job.source),
            hint=f"`rm({job.name!r})` first",
        )  # fmt: skip
    if not work.library.holds_backbone(job.name):
        return
    added = work.library.find("backbone", job.name).manifest.made.get("added", {})
    if added.get("by") != "reference":
        raise ExistsError(
            f"backbone {job.name} is already in the registry", expected="a reference to a folder",
            found="files of its own", hint=f"`rm({job.name!r})` first, or another `name`",
        )  # fmt: skip


def _check_text(path: Path) -> None:
    """Refuses a path that a manifest cannot hold."""
    if not str(path).isprintable():
        raise InputError(
            f"the path {ascii(str(path))}", expected="printable characters",
            hint="another name for the folder",
        )  # fmt: skip
