"""Fusions as artifacts: what is stored beside the combiner, and how a fusion is rebuilt."""

from __future__ import annotations

from collections import Counter
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
GATE = "gate"  # only of members that had one
AGAIN = "`fuse()` again"
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


@dataclass(frozen=True)
class _Part:
    """An artifact of a member, as it was when the fusion was trained."""

    kind: str
    name: str
    d_abi: int | None
    sha256: str


def called(name: str, d_abi: int | None) -> str:
    """A member without its backbone: `python/d128`; what was injected has no width."""
    return name if d_abi is None else f"{name}/d{d_abi}"


def role_of(kind: str, name: str, d_abi: int | None) -> str:
    """The role of an artifact of a member among a fusion's parents: `module:python/d128`."""
    return f"{kind}:{called(name, d_abi)}"


def _parts_of(record: FusionRecord, parents: Mapping[str, str], hosted: str) -> list[_Part]:
    """The artifacts of every member with their hashes.

    Roles had no widths once: such a one is the member's that alone has its name.

    Raises:
        CorruptError: one has no hash, or there are hashes of other artifacts.
    """
    members = dict.fromkeys(record.members)
    names = Counter(name for name, _ in members)
    found, used, lost = [], set[str](), []
    for name, d_abi in members:
        for kind in (PARTS,) if d_abi is None else (*MODULES, GATE):
            roles = [role_of(kind, name, d_abi)]
            roles += [role_of(kind, name, None)] if names[name] == 1 else []
            role = next((role for role in roles if role in parents), None)
            if role is None:
                lost += roles[:1] if kind != GATE else []
                continue
            used.add(role)
            found.append(_Part(kind, name, d_abi, parents[role]))
    if unknown := sorted({*lost, *parents.keys() - used}):
        raise CorruptError(
            f"the members of {hosted} are not those it was trained with",
            expected="a hash of each artifact of every member",
            found=", ".join(unknown),
            hint=AGAIN,
        )
    return found


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
    parts = _parts_of(record, stored.parents, hosted)
    for part in parts:
        found = library.fetch(part.kind, part.name, backbone.name, part.d_abi).sha256
        if found != part.sha256:
            raise CorruptError(
                f"the {part.kind} {called(part.name, part.d_abi)} has changed since {hosted} was "
                "trained",
                expected=f"sha256 {part.sha256[:12]}",
                found=found[:12],
                hint=AGAIN,
            )
    members = [host(backbone, member, library, d_abi) for member, d_abi in record.members]
    for member, (name, d_abi) in zip(members, record.members, strict=True):
        if not any((p.kind, p.name, p.d_abi) == (GATE, name, d_abi) for p in parts):
            member.gate = None  # it has got one since the combiner was trained
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
