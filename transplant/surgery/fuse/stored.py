"""Fusions as artifacts: what is stored beside the combiner, and how a fusion is rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.backbones.view import Backbone
from transplant.errors import CorruptError
from transplant.modules.hosted import HostedModel
from transplant.surgery.fuse.hosted import Fused, fuse_members, fused_width
from transplant.surgery.fuse.table import make_combiner
from transplant.surgery.record import Record

if TYPE_CHECKING:
    from transplant.library import Library, StoredArtifact

PARTS = "injection"
MODULES = ("module", "interface")
Host = Callable[[Backbone, str, "Library", int | None], HostedModel]


@dataclass(frozen=True, kw_only=True)
class FusionRecord(Record):
    """Which modules are fused, where, and by what."""

    OF = "a fusion"

    combiner: str
    """`gate` or `attention`."""
    members: tuple[tuple[str, int | None], ...]
    """Name and d_abi of each; a part that was injected has no d_abi."""
    layer: int
    """The block whose output is changed; the last one for domain modules."""

    @classmethod
    def _fields(cls, stored: Any) -> Mapping[str, Any]:
        members = tuple((name, d_abi) for name, d_abi in stored["members"])
        for name, d_abi in members:
            if type(name) is not str or type(d_abi) not in (int, type(None)):
                raise TypeError(f"a member is {name!r}, {d_abi!r}")
        return {**stored, "members": members}


def rebuild_fusion(
    hosted: str, stored: StoredArtifact, backbone: Backbone, library: Library, host: Host
) -> Fused:
    """A backbone with a stored fusion at work.

    Args:
        hosted: `<fusion>@<backbone>`.
        stored: the fusion; it belongs to the weights of `backbone`.
        backbone: loaded already.
        library: where its modules are looked up.
        host: attaches one of the modules.

    Raises:
        CorruptError: modules that are no longer those it was trained with.
    """
    record = FusionRecord.from_dict(stored.made.get("fusion"))
    unknown = {name for name, _ in record.members}.symmetric_difference(
        role.partition(":")[2] for role in stored.parents
    )
    if unknown:
        raise CorruptError(
            f"the members of {hosted} are not those it was trained with",
            found=", ".join(sorted(unknown)),
            hint="`fuse()` again",
        )
    for role, expected in stored.parents.items():
        kind, _, member = role.partition(":")
        found = library.fetch(kind, member, backbone.name, dict(record.members).get(member)).sha256
        if found != expected:
            raise CorruptError(
                f"the {kind} {member} has changed since {hosted} was trained",
                expected=f"sha256 {expected[:12]}",
                found=found[:12],
                hint="`fuse()` again",
            )
    members = [host(backbone, member, library, d_abi) for member, d_abi in record.members]
    fused = empty_fusion(hosted, members, record.combiner)
    fused.combiner.load_own(stored.tensors)
    fused.requires_grad_(False)
    return fused


def empty_fusion(name: str, members: Sequence[HostedModel], combiner: str, seed: int = 0) -> Fused:
    """Modules fused by an untrained combiner: the backbone as it is.

    Args:
        name: `<fusion>@<backbone>`.
        members: hosted on one backbone.
        combiner: its name.
        seed: of what it draws.
    """
    width = fused_width(members[0].backbone, members)
    made = make_combiner(combiner, len(members), width, seed)
    return fuse_members(name, members, made).eval()
