"""Stored fusions: every artifact of every member is held against the hash it was trained with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tests.surgery.fuse.scenes import busy, module
from tests.tiny import tiny_backbone
from transplant.errors import CorruptError
from transplant.modules.gate import Gate, Gated
from transplant.surgery.fuse.stored import (
    MODULES,
    FusionRecord,
    empty_fusion,
    rebuild_fusion,
    role_of,
)

WIDTHS = (("python", 64), ("python", 128))
NAMES = (("python", 64), ("chess", 64))


class Shelf:
    """A library of members, each artifact with a hash of its own."""

    def __init__(self, members):
        self.hashes = {(kind, *one): f"{kind} {one}" for one in members for kind in MODULES}

    def fetch(self, kind, name, _backbone, d_abi):
        return SimpleNamespace(sha256=self.hashes[kind, name, d_abi])


def by_role(members, *, widths=True):
    """Hashes as a fusion records them; without widths as they were once."""
    shelf = Shelf(members)
    return {
        role_of(kind, name, d_abi if widths else None): sha256
        for (kind, name, d_abi), sha256 in shelf.hashes.items()
    }


@pytest.fixture(scope="module")
def rebuild(tiny_tokenizer):
    """Rebuilds a fusion of two members, given its hashes and what the library has now."""
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    hosted = [module(backbone, taps, n) for n, taps in enumerate(((backbone.n_layers,), (0, 1)))]
    trained = empty_fusion("fused", hosted, "gate")
    busy(trained.combiner)

    def run(members, parents, shelf):
        record = FusionRecord(combiner="gate", members=members, layer=backbone.n_layers - 1)
        stored = SimpleNamespace(
            made={"fusion": record.as_dict()}, parents=parents,
            tensors=trained.combiner.state_dict(),
        )  # fmt: skip

        def host(_backbone, name, _library, d_abi):
            return hosted[members.index((name, d_abi))]

        for one in hosted:
            one.gate = Gate(16)
        fused = rebuild_fusion("fused@tiny", stored, backbone, shelf, host)
        for name, tensor in fused.combiner.state_dict().items():
            assert torch.equal(tensor, trained.combiner.state_dict()[name])
        return [isinstance(one, Gated) for one in fused.corrections]

    return run


def test_gates_are_those_with_which_the_combiner_was_trained(rebuild):
    parents, shelf = by_role(NAMES), Shelf(NAMES)
    assert rebuild(NAMES, parents, shelf) == [False, False]  # both have got one since
    shelf.hashes["gate", *NAMES[1]] = "a gate"
    assert rebuild(NAMES, {**parents, role_of("gate", *NAMES[1]): "a gate"}, shelf) == [False, True]
    shelf.hashes["gate", *NAMES[1]] = "another"
    with pytest.raises(CorruptError, match="the gate chess/d64 has changed since fused"):
        rebuild(NAMES, {**parents, role_of("gate", *NAMES[1]): "a gate"}, shelf)


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("members", [WIDTHS, NAMES])
def test_any_artifact_of_any_member_that_has_changed_is_named(rebuild, members, number, kind):
    shelf = Shelf(members)
    rebuild(members, by_role(members), shelf)  # control: as it was trained
    name, d_abi = members[number]
    shelf.hashes[kind, name, d_abi] = "another"
    with pytest.raises(CorruptError, match=f"the {kind} {name}/d{d_abi} has changed since fused"):
        rebuild(members, by_role(members), shelf)


@pytest.mark.parametrize("number", [0, 1])
def test_records_from_before_roles_had_widths_are_read_and_checked(rebuild, number):
    parents, shelf = by_role(NAMES, widths=False), Shelf(NAMES)
    assert parents.keys() & {"module:python", "module:chess"}
    rebuild(NAMES, parents, shelf)
    shelf.hashes["module", *NAMES[number]] = "another"
    with pytest.raises(CorruptError, match=f"{NAMES[number][0]}/d64 has changed since fused"):
        rebuild(NAMES, parents, shelf)


def test_two_widths_of_which_one_has_no_hash_are_not_hosted(rebuild):
    """Before roles had widths, the hash of the second took the place of the first's."""
    with pytest.raises(CorruptError, match=r"not those it was trained with.*module:python/d64"):
        rebuild(WIDTHS, by_role(WIDTHS, widths=False), Shelf(WIDTHS))


@pytest.mark.parametrize("kind", MODULES)
def test_a_hash_that_is_missing_or_of_something_else_is_named(rebuild, kind):
    parents = by_role(NAMES)
    gone = role_of(kind, *NAMES[1])
    less = {role: sha256 for role, sha256 in parents.items() if role != gone}
    for wrong, named in ((less, gone), ({**parents, f"{kind}:law/d64": "x"}, f"{kind}:law/d64")):
        with pytest.raises(CorruptError, match=f"not those it was trained with.*{named}"):
            rebuild(NAMES, wrong, Shelf(NAMES))
