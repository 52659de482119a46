"""The recipe that made an artifact, from its manifest and those of what it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, TransplantError
from transplant.recipes.kept_files import OUT
from transplant.recipes.verbs import REQUIRED, Option, Verbs
from transplant.workflows.artifacts import HOSTED

if TYPE_CHECKING:
    from transplant.library import Entry, Manifest
    from transplant.library.names import HostedName
    from transplant.workflows.work import Work

OF_A_RUN = ("resume", "replace", "explain", *OUT)
"""Options without an effect on what is made, or on what may be made again."""
BESIDE = ("module_here",)
"""Roles of parents that are made by the same step."""
SHIPPED = "shipped"
ON_A_BACKBONE = (*HOSTED, "bank", "bridge", "tokens")


def origin_of(work: Work, name: str | HostedName, kind: str | None, verbs: Verbs) -> dict[str, Any]:
    """The recipe of an artifact: the steps that made it, and before them those of its parents.

    What ships with the package is not made again, but for the artifact itself.

    Args:
        work: its library holds the artifacts.
        name: of the artifact.
        kind: of the artifact; None for whichever there is.
        verbs: what steps may do.

    Returns:
        `content`, as a file of a recipe has it; `yaml`, its text, with what it needs beside it as
        comments; `needed`, the same: what no step makes, as files of others and artifacts that are
        gone.

    Raises:
        NotFoundError: no such artifact.
        InputError: its manifest tells no verb that may be a step.
    """
    entry = work.find(name, kind)
    chain = _Chain(work, verbs, [one.manifest for one in work.library.entries()])
    chain.add(entry.manifest)
    seeds = {step.seed for step in chain.steps}
    content: dict[str, Any] = {"seed": seeds.pop()} if len(seeds) == 1 else {}
    content["steps"] = [step.written("seed" not in content) for step in chain.steps]
    manifest = entry.manifest
    return {
        "name": manifest.hosted, "kind": manifest.kind, "sha256": manifest.sha256,
        "content": content, "needed": chain.needed,
        "yaml": _text(content, manifest, chain.needed),
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One step of a chain."""

    verb: str
    options: Mapping[str, Any]
    """As they are spelled."""
    seed: int

    def written(self, with_seed: bool) -> dict[str, Any]:
        """The step as a recipe has it."""
        return {self.verb: {**self.options, **({"seed": self.seed} if with_seed else {})}}


@dataclass
class _Chain:
    """Steps in the order in which they can run."""

    work: Work
    verbs: Verbs
    held: Sequence[Manifest]
    steps: list[_Step] = field(default_factory=list)
    needed: list[dict[str, str]] = field(default_factory=list)
    """What no step makes: an artifact that no verb has made, or that is gone."""
    seen: set[tuple[str, str]] = field(default_factory=set)

    def add(self, manifest: Manifest) -> None:
        """Puts down the steps of an artifact behind those of what it was made from."""
        key = (manifest.kind, manifest.hosted)
        if key in self.seen:
            return
        self.seen.add(key)
        step = self._step(manifest)
        self._add_backbone(manifest)
        for role, sha256 in manifest.parents.items():
            if role not in BESIDE:
                self._add_parent(manifest, role, sha256)
        for name in _names_in(step.options):
            self._add_named(name)
        if step not in self.steps:  # a module, its interface and its native come of one
            self.steps.append(step)

    def _step(self, manifest: Manifest) -> _Step:
        """The step that made an artifact.

        Raises:
            InputError: it tells no verb that may be one.
        """
        made = manifest.made
        known = {name.replace(" ", "_").replace("-", "_"): name for name in self.verbs.names()}
        verb = known.get(str(made.get("verb")).strip("_").replace("-", "_"))
        recorded = made.get("options")
        if verb is None or not isinstance(recorded, Mapping) or not recorded:
            raise InputError(
                f"{manifest.hosted} has no recipe", expected="the verb and the options on record",
                found=f"{made.get('verb') or 'no verb'}: {len(recorded or ())} options",
            )  # fmt: skip
        table = {option.name: option for option in self.verbs.options(verb)}
        options = _spelled(recorded, table)
        dtype = made.get("dtype")
        if isinstance(dtype, str) and "dtype" in table:
            options.setdefault("dtype", dtype)
        return _Step(verb=verb, options=options, seed=int(made.get("seed", 0)))

    def _add_backbone(self, manifest: Manifest) -> None:
        """Puts down what made the backbone, where that is in the library and did not ship."""
        if manifest.kind != "backbone":
            self._add_entry(self._entry("backbone", manifest.backbone.id, None))

    def _add_parent(self, child: Manifest, role: str, sha256: str) -> None:
        """Puts down the artifact of a hash; what is none of the library is needed."""
        found = [
            one for one in self.held
            if sha256 == (one.backbone.weights_sha256 if one.kind == "backbone" else one.sha256)
            and (one.kind, one.hosted) != (child.kind, child.hosted)
        ]  # fmt: skip
        donor = child.parents.get("donor_backbone")
        found.sort(key=lambda one: (one.backbone.weights_sha256 != donor, len(one.parents)))
        if found:
            kind = found[0].kind
            backbone = None if kind == "backbone" else found[0].backbone.id
            self._add_entry(self._entry(kind, found[0].name, backbone, found[0].d_abi))
        else:
            self.needed.append({"name": role.replace("_", " "), "sha256": sha256})

    def _add_named(self, name: str) -> None:
        """Puts down what an option names, where the library has it."""
        with suppress(TransplantError):
            parts = self.work.library.split_name(name)
            for kind in ON_A_BACKBONE if parts.module else ("backbone",):
                own = parts.module or parts.backbone
                entry = self._entry(
                    kind, own, parts.backbone if parts.module else None, parts.d_abi
                )
                if entry is not None:
                    self._add_entry(entry)
                    return

    def _entry(
        self, kind: str, name: str, backbone: str | None, d_abi: int | None = None
    ) -> Entry | None:
        with suppress(TransplantError):
            return self.work.library.get(kind, name, backbone, d_abi)
        return None

    def _add_entry(self, entry: Entry | None) -> None:
        """Puts down a parent; one that no verb has made must be there already."""
        if entry is None or getattr(entry, SHIPPED, False):
            return
        try:
            self.add(entry.manifest)
        except InputError:
            manifest = entry.manifest
            own = manifest.kind == "backbone"
            sha256 = manifest.backbone.weights_sha256 if own else manifest.sha256
            self.needed.append({"name": f"{manifest.kind} {manifest.hosted}", "sha256": sha256})


def _spelled(recorded: Mapping[str, Any], table: Mapping[str, Option]) -> dict[str, Any]:
    """Options on record as they are spelled; those that have their defaults are left out."""
    options: dict[str, Any] = {}
    for name, value in recorded.items():
        option = table.get(name)
        if option is None or name in OF_A_RUN or value is None:
            continue
        default = option.default
        if default is not REQUIRED and json.dumps(default, default=str) == json.dumps(value):
            continue
        options[option.spelled[0]] = value[0] if option.is_list and len(value) == 1 else value
    for name in OUT:  # where a verb must be told, it is another place than before
        if name in table and table[name].default is REQUIRED:
            options[table[name].spelled[0]] = f"./{name}"
    return options


def _names_in(options: Mapping[str, Any]) -> Iterator[str]:
    for value in options.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and one and one.isprintable():
                yield one


def _text(
    content: Mapping[str, Any], manifest: Manifest, needed: Sequence[Mapping[str, str]]
) -> str:
    """A recipe as YAML, with what it is and what it needs as comments."""
    import yaml

    lines = [f"# {manifest.kind} {manifest.hosted}, sha256 {manifest.sha256}"]
    versions = manifest.made.get("versions")
    if isinstance(versions, Mapping):
        told = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        lines.append(f"# made with {told}")
    lines += [f"# needs {it['name']}, sha256 {it['sha256']}" for it in needed]
    dumped = yaml.safe_dump(
        dict(content), sort_keys=False, default_flow_style=False, allow_unicode=True, width=4096
    )
    return "\n".join([*lines, dumped])
