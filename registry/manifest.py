"""The manifest: what a stored artifact is, how it was made, and the hashes that identify it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import CorruptError, InputError, VersionError
from transplant.files import strict_json
from transplant.files.decode import LATER, decode
from transplant.files.safetensors import TensorRecord

from .facts import check_facts, finite_results
from .names import HostedName, check_name
from .seal import check_seal, without_seal

if TYPE_CHECKING:
    from transplant.library import BackboneIdentity

SCHEMA_VERSION = 1
KINDS = (
    "backbone", "module", "interface", "bridge", "adapter", "basis", "bank", "tokens", "injection",
    "fusion", "gate", "linear",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BackboneRecord:
    """The frozen language model that an artifact belongs to."""

    id: str
    """A registry name, a hub id or a folder."""
    revision: str | None = None
    """The hub commit; None for a folder or a registry name."""
    family: str
    """The architecture, as `config.model_type` names it."""
    d_model: int
    """Width of its hidden states."""
    weights_sha256: str
    """Fingerprint of its weights."""
    tokenizer_sha256: str
    """Fingerprint of its tokenizer."""
    config_sha256: str | None = field(default=None, metadata=LATER)
    """Fingerprint of the settings that decide what it computes; None in manifests of before."""

    @classmethod
    def of(cls, backbone: BackboneIdentity) -> BackboneRecord:
        """What a manifest says of a backbone."""
        return cls(
            id=backbone.name,
            revision=backbone.revision,
            family=backbone.family,
            d_model=backbone.d_model,
            weights_sha256=backbone.weights_sha256,
            tokenizer_sha256=backbone.tokenizer_sha256,
            config_sha256=backbone.config_sha256,
        )


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything known about one artifact.

    Raises:
        InputError: a kind, a name or a width that cannot be stored.
    """

    schema_version: int = SCHEMA_VERSION
    """The version of this layout; readers refuse a later one."""
    name: str
    """The artifact's name: the domain module's, or the backbone's own."""
    kind: str
    """One of KINDS."""
    domain: str | None = None
    """The domain of the text it was trained on."""
    backbone: BackboneRecord
    """The backbone that it belongs to."""
    d_abi: int | None = None
    """Width of the shared space; None where there is none."""
    taps: tuple[int, ...] = ()
    """The layers whose hidden states it reads."""
    tensors: dict[str, TensorRecord] = field(default_factory=dict)
    """Every tensor; the store fills this in from the bytes that it wrote."""
    made: dict[str, Any] = field(default_factory=dict)
    """Verb, options, seed, corpus and split fingerprints, tool version."""
    results: dict[str, Any] = field(default_factory=dict)
    """What was measured."""
    parents: dict[str, str] = field(default_factory=dict)
    """The sha256 of each artifact that it was made from, by role."""
    license: str | None = None
    """The licence it may be passed on under."""

    def __post_init__(self) -> None:
        """Check what a folder name and a reader will depend on."""
        check_name(self.name, "name of an artifact")
        if self.schema_version != SCHEMA_VERSION:
            raise InputError("schema_version", expected=SCHEMA_VERSION, found=self.schema_version)
        if self.kind not in KINDS:
            raise InputError("kind", expected=f"one of {', '.join(KINDS)}", found=repr(self.kind))
        if self.d_abi is not None and self.d_abi < 1:
            raise InputError("d_abi", expected="a width of at least 1", found=self.d_abi)
        backbone = dataclasses.asdict(self.backbone)
        shown = [("domain", self.domain), ("license", self.license), *self.parents.items()]
        shown += [("parents", role) for role in self.parents]
        for where, text in [
            *shown,
            *((f"backbone.{key}", value) for key, value in backbone.items()),
        ]:
            if isinstance(text, str) and not text.isprintable():
                raise InputError(where, expected="printable text", found=ascii(text)[:80])

    @property
    def hosted(self) -> str:
        """Its full name: `python@ref-gpt2/d128`, or the backbone's own."""
        if self.kind == "backbone":
            return self.name
        return str(HostedName(self.name, self.backbone.id, self.d_abi or 0))

    @property
    def sha256(self) -> str:
        """The identity of the tensors, whatever the file's layout.

        The hash of the lines `name dtype shape sha256` (shape as `4x2`), sorted, each ended by a
        newline. It stays the same when a module moves.
        """
        lines = sorted(
            f"{name} {tensor.dtype} {'x'.join(map(str, tensor.shape))} {tensor.sha256}\n"
            for name, tensor in self.tensors.items()
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def part(
        self, name: str, prefix: str, *, domain: str | None, d_abi: int | None,
        made: Mapping[str, Any], results: Mapping[str, Any],
    ) -> Manifest:  # fmt: skip
        """The manifest of a module inside this core: its tensors alone, under their own names.

        Args:
            name: the module's name.
            prefix: what its tensors begin with in the core.
            domain: of the text that it was trained on.
            d_abi: the width of its space.
            made: how it was made.
            results: what was measured of it.
        """
        tensors = {
            tensor.removeprefix(prefix): record
            for tensor, record in self.tensors.items()
            if tensor.startswith(prefix)
        }
        return Manifest(
            name=name, kind="module", domain=domain, backbone=self.backbone, d_abi=d_abi,
            tensors=tensors, made=dict(made), results=dict(results),
        )  # fmt: skip

    def to_json(self) -> str:
        """Stable text: sorted keys, two spaces, a newline at the end.

        A result that is no finite number is null; see `finite_results`.

        Raises:
            InputError: a value that JSON cannot hold, NaN included.
        """
        try:
            fields = dataclasses.asdict(self)
            if self.backbone.config_sha256 is None:  # an older manifest is written as it was read
                del fields["backbone"]["config_sha256"]
            fields["results"] = finite_results(self.kind, fields["results"])
            text = json.dumps(fields, sort_keys=True, indent=2, allow_nan=False) + "\n"
            strict_json.parse(text)  # what is written here can be read here
            return text
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"the manifest of {self.name}: {error}",
                expected="finite numbers, strings, lists and objects in `made` and `results`",
            ) from error

    @classmethod
    def from_json(cls, text: str, path: Path) -> Manifest:
        """Read what `to_json` wrote, sealed or not; `path` is named in every message.

        Raises:
            VersionError: a newer version of this tool wrote it.
            CorruptError: no JSON, a field that is missing, unknown or of another type, or content
                that differs from its seal.
        """
        try:
            data = strict_json.parse(text)
        except ValueError as error:
            raise CorruptError(f"{path}: {error}", expected="JSON", hint="`list()`") from error
        version = data.get("schema_version") if isinstance(data, dict) else None
        if type(version) is int and version > SCHEMA_VERSION:
            raise VersionError(
                f"{path}: schema_version",
                expected=f"at most {SCHEMA_VERSION}",
                found=version,
                hint="upgrade abi",
            )
        fields = without_seal(data) if isinstance(data, dict) else data
        try:
            manifest = decode(cls, fields, f"{path}: manifest")
        except InputError as error:
            raise CorruptError(
                f"{path}: {error.what}", expected=error.expected, found=error.found
            ) from error
        check_facts(manifest.kind, manifest.made, manifest.results, f"{path}: manifest")
        check_seal(data, str(path))
        return manifest
