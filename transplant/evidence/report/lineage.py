"""Lineages from manifests: each artifact, and by hash what it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transplant.evidence.report.runs import Run
from transplant.pictures.document.lineage import Edge, Lineage, Node

if TYPE_CHECKING:
    from transplant.library import Entry, Manifest
    from transplant.workflows.work import Work

MOST = 24  # artifacts of a drawing
SKIPPED = ("module_here",)  # of an interface: the module that stands beside it


def lineage_of(work: Work, runs: Sequence[Run]) -> Lineage:
    """The artifacts behind runs and all that they were made from, parents first."""
    held = work.library.entries()
    tree = _Tree([entry.manifest for entry in held])
    for run in runs:
        manifest = run.manifest or _of_file(run, held)
        if manifest is not None:
            tree.add(manifest)
        else:
            tree.add_recorded(run.data)
    return Lineage(tuple(tree.nodes), tuple(tree.edges))


def _of_file(run: Run, held: Sequence[Entry]) -> Manifest | None:
    """The artifact that a file of results tells of: of its name, and of the same bytes."""
    hashes = run.data.get("module_sha256")
    expected = hashes.get("target") if isinstance(hashes, Mapping) else hashes
    for entry in held:
        named = entry.manifest.hosted.partition("/")[0] == str(run.data.get("name"))
        if named and entry.manifest.sha256 == expected:
            return entry.manifest
    return None


@dataclass
class _Tree:
    """Nodes in the order in which their parents are complete."""

    held: Sequence[Manifest]
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    known: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def add(self, manifest: Manifest) -> int | None:
        """Puts an artifact down after what it was made from; None where there is no more room."""
        key = (manifest.kind, manifest.hosted, _identity(manifest))
        if key in self.known:
            return self.known[key]
        if len(self.known) >= MOST:
            return None
        self.known[key] = -1  # under way
        origins: list[tuple[int | None, str]] = []
        if manifest.kind != "backbone":
            origins.append((self._backbone(manifest), "backbone"))
        for role, sha256 in manifest.parents.items():
            if role not in SKIPPED:
                origins.append((self._parent(manifest, role, sha256), role.replace("_", " ")))
        own = len(self.nodes)
        self.known[key] = own
        self.nodes.append(Node(manifest.hosted, manifest.kind, _identity(manifest)))
        for parent, role in origins:
            if parent is not None and parent >= 0:
                self.edges.append(Edge(parent, own, role))
        return own

    def add_recorded(self, data: Mapping[str, Any]) -> None:
        """Puts down what the file of a move tells of artifacts that the library does not have."""
        hashes = data.get("module_sha256")
        if not isinstance(hashes, Mapping) or "donor" not in data:
            return
        own, theirs = (
            self._unknown(str(data[role]), "module", str(hashes.get(side)))
            for role, side in (("donor", "donor"), ("name", "target"))
        )
        self.edges.append(Edge(own, theirs, "module"))

    def _backbone(self, manifest: Manifest) -> int | None:
        record = manifest.backbone
        for one in self.held:
            if one.kind == "backbone" and one.backbone.weights_sha256 == record.weights_sha256:
                return self.add(one)
        return self._unknown(record.id, "backbone", record.weights_sha256)

    def _parent(self, child: Manifest, role: str, sha256: str) -> int | None:
        """The artifact of a hash; of several, as of a module that was moved, the first one's."""
        found = [
            one for one in self.held
            if _identity(one) == sha256 and (one.kind, one.hosted) != (child.kind, child.hosted)
        ]  # fmt: skip
        donor = child.parents.get("donor_backbone")
        found.sort(key=lambda one: (one.backbone.weights_sha256 != donor, len(one.parents)))
        return self.add(found[0]) if found else self._unknown(role.replace("_", " "), role, sha256)

    def _unknown(self, name: str, kind: str, sha256: str) -> int:
        key = (kind, name, sha256)
        if key not in self.known:
            self.known[key] = len(self.nodes)
            self.nodes.append(Node(name, kind.replace("_", " "), sha256, held=False))
        return self.known[key]


def _identity(manifest: Manifest) -> str:
    """The hash that parents are named by: of a backbone its weights', else its tensors'."""
    return manifest.backbone.weights_sha256 if manifest.kind == "backbone" else manifest.sha256
