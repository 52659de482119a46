"""Sources of an export: what is hosted, in memory, and all that is known of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

from transplant.errors import BackboneError, InputError, TransplantError, foreign
from transplant.files.plain import expand
from transplant.workflows.export.spec import LORA, TRANSFORMERS
from transplant.workflows.hub_origin import HubOrigin, hub_origin
from transplant.workflows.licences import license_in, license_on_hub

if TYPE_CHECKING:
    from transplant.library import Manifest
    from transplant.modules.hosted import HostedModel
    from transplant.workflows.work import Work

UNKNOWN, DONOR = "unknown", "donor_backbone"
KINDS = ("module", "linear", "adapter", "basis")
"""Of artifacts that can go out."""
LORAS = ("adapter", "basis")
"""Of these, those that are pairs on linear maps."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A hosted module, linear map or LoRA, and all that is known of it."""

    hosted: HostedModel
    """As `transplant.load` gives it."""
    manifest: Manifest
    """Of the module."""
    folder: Path
    """The files of its backbone."""
    hub: HubOrigin | None
    """Where anybody finds the backbone; None where it came from a folder."""
    is_local: bool
    """Whether its files are in the library or a folder, and no download alone."""
    licenses: Mapping[str, str]
    """The licence of each backbone by name, its own first, then the donors'; or `unknown`."""
    donors: tuple[str, ...] = ()
    """The backbones that it was moved from or learned from, by name."""

    @property
    def title(self) -> str:
        """The module's name on its backbone's, without the folders of a path."""
        return f"{self.manifest.name}@{without_folders(self.hosted.backbone.name)}"

    @property
    def loader(self) -> str:
        """The class of `transformers` that loads such a backbone."""
        seq2seq = self.hosted.backbone.model.config.is_encoder_decoder
        return "AutoModelForSeq2SeqLM" if seq2seq else "AutoModelForCausalLM"

    @property
    def own_form(self) -> str:
        """The form that it goes out in where none is asked for."""
        return LORA if self.manifest.kind in LORAS else TRANSFORMERS

    def reference(self, *, public: bool) -> dict[str, Any]:
        """The backbone as an exported configuration refers to it.

        Args:
            public: whether it goes to others, whom folders of this machine tell nothing.
        """
        backbone, hub = self.hosted.backbone, self.hub
        return {
            "id": without_folders(backbone.name) if hub is None else hub.id,
            "revision": None if hub is None else hub.revision,
            "path": str(self.folder.resolve()) if self.is_local and not public else None,
            "weights_sha256": backbone.weights_sha256,
            "tokenizer_sha256": backbone.tokenizer_sha256,
            "config_sha256": backbone.config_sha256,
        }

    def provenance(self, *, token_counts: bool) -> dict[str, Any]:
        """How it was made and what was measured, without folders of the machine.

        Args:
            token_counts: whether the counts of the training text's tokens are told.
        """
        hidden = {"options"} if token_counts else {"options", "token_counts"}
        made = {key: value for key, value in self.manifest.made.items() if key not in hidden}
        record = {
            "name": self.title, "kind": self.manifest.kind,
            "domain": self.manifest.domain, "sha256": self.manifest.sha256, "made": made,
            "results": dict(self.manifest.results), "parents": dict(self.manifest.parents),
        }  # fmt: skip
        return without_folders(record)


def read_source(work: Work, name: str) -> Source:
    """Loads what is hosted on a backbone, with what is known of it.

    Raises:
        InputError: a backbone, or something of a kind that does not go out.
        NotFoundError: there is none of that name.
    """
    named = work.named(name)
    if named.module is None:
        raise InputError(
            f"{name} is a backbone, with nothing hosted on it", expected="MODULE@BACKBONE",
            hint="its own folder is one that `transformers` loads",
        )  # fmt: skip
    manifest = work.find(named).manifest
    if manifest.kind not in KINDS:
        raise InputError(
            f"{name} is of the kind {manifest.kind}", expected=f"one of {', '.join(KINDS)}",
            hint=f"`show({name!r})` tells what it was made of",
        )  # fmt: skip
    hosted = work.load(named)
    folder, hub, is_local = _files_of(work, named.backbone, hosted.backbone.revision)
    donors = _donors(work, manifest)
    own = {named.backbone: _license_of(work, named.backbone, folder)}
    return Source(
        hosted=hosted, manifest=manifest, folder=folder, hub=hub, is_local=is_local,
        licenses=own | donors, donors=tuple(donors),
    )  # fmt: skip


def without_folders(value: Any) -> Any:
    """A record with the last part of each absolute path in its place: it goes to others."""
    if isinstance(value, Mapping):
        return {without_folders(key): without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(inner) for inner in value]
    if isinstance(value, str) and (value.startswith(("/", "~", "./", "../"))):
        return Path(value).name
    if isinstance(value, str) and PureWindowsPath(value).is_absolute():
        return PureWindowsPath(value).name
    return value


def _files_of(
    work: Work, backbone: str, revision: str | None
) -> tuple[Path, HubOrigin | None, bool]:
    """The folder of a backbone's files, its hub, and whether the folder is no mere download."""
    held = work.library.backbone_path(backbone)
    if held is not None:
        return held, hub_origin(work, backbone), True
    if expand(backbone).is_dir():
        return expand(backbone), None, True
    with foreign(f"the files of {backbone} are not found", BackboneError):
        from huggingface_hub import snapshot_download

        revision = revision or work.revision_of(backbone)
        kept = snapshot_download(backbone, revision=revision, local_files_only=True)
    return Path(kept), HubOrigin(backbone, Path(kept).name), False


def _donors(work: Work, manifest: Manifest) -> dict[str, str]:
    """The licences of the backbones that it came from, by name, in the order of its record."""
    bases = _bases_of(manifest.made)
    weights = {
        int(role_of[2] or 0): sha256 for role, sha256 in manifest.parents.items()
        if (role_of := re.fullmatch(rf"{DONOR}(_(\d+))?", role))
    }  # fmt: skip
    if not weights:
        return {}
    held = {
        entry.manifest.backbone.weights_sha256: entry.manifest.name
        for entry in reversed([*work.library.entries("backbone")])
    }
    found: dict[str, str] = {}
    for number, sha256 in sorted(weights.items()):
        name = held.get(sha256) or (bases[number] if number < len(bases) else None)
        if name is None:
            found[f"donor {sha256[:12]}"] = UNKNOWN
        else:
            found[name] = _license_of(work, name, _folder_of(work, name))
    return found


def _bases_of(made: Mapping[str, Any]) -> list[str]:
    """What the backbones were called that it came from, in the order of its record."""
    donor = made.get("donor")
    if not isinstance(donor, Mapping):
        return []
    bases = donor.get("bases", [donor.get("base")])
    return bases if all(isinstance(base, str) for base in bases) else []


def _folder_of(work: Work, backbone: str) -> Path | None:
    with suppress(TransplantError):
        held, folder = work.library.backbone_path(backbone), expand(backbone)
        return held or (folder if folder.is_dir() else None)
    return None


def _license_of(work: Work, backbone: str, folder: Path | None) -> str:
    """As its manifest says, else the card beside its weights, else its card on the hub."""
    from transplant.backbones.hub_ids import is_hub_id

    library = work.library
    entry = library.get("backbone", backbone) if library.holds_backbone(backbone) else None
    stated = getattr(entry.manifest, "license", None) if entry else None
    stated = stated or license_in(folder)
    hub = hub_origin(work, backbone)
    if hub is None and entry is None and is_hub_id(backbone):
        hub = HubOrigin(backbone, work.revision_of(backbone))
    if stated is None and hub is not None:
        stated = license_on_hub(hub.id, hub.revision)
    return stated or UNKNOWN
