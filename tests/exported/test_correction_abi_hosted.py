"""The code that stands beside exported weights computes the library's bits."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache

from tests.tiny import WIDTH
from transplant.alignment.basis import TapBases
from transplant.exported import correction_abi_hosted as alone
from transplant.modules import gate, gated_forward
from transplant.modules.correction import Correction
from transplant.modules.forms import LiteModule, MlpModule
from transplant.modules.interface import Interface
from transplant.modules.linear import LinearCorrection, reading_of

pytestmark = pytest.mark.bits

D_ABI, TAPS = 16, (1, 3)
MODULES = {"mlp": MlpModule, "lite": LiteModule}


def drawn(part, seed):
    """The part with every stored tensor drawn at random; the memory of a gate below 1."""
    generator = torch.Generator().manual_seed(seed)
    tensors = part.state_dict()
    for tensor in tensors.values():
        tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.3)
    if "memory" in tensors:
        tensors["memory"].fill_(0.9)
    return part.requires_grad_(False).eval()


def same(part, copy):
    """The copy with the part's tensors: the names and shapes that files have are those of both."""
    copy.load_state_dict(part.state_dict())
    return copy.requires_grad_(False).eval()


def states(seq, batch=2):
    generator = torch.Generator().manual_seed(seq)
    return {tap: torch.randn(batch, seq, WIDTH, generator=generator) for tap in (*TAPS, 4)}


@pytest.mark.parametrize("taps", [TAPS, (4,)])
def test_the_interface_reads_and_writes_the_same_bits(taps):
    ours = drawn(Interface(WIDTH, D_ABI, taps), 1)
    theirs = same(ours, alone.Interface(
        d_model=WIDTH, d_abi=D_ABI, taps=list(taps), tap_norms=bool(ours.tap_norms)
    ))  # fmt: skip
    read = states(20)
    z = ours.read_in(read)
    assert torch.equal(theirs.read_in(read), z)
    assert torch.equal(theirs.proj_out(z), ours.write_out(z))
    theirs.proj_in.weight.add_(1e-3)  # control
    assert not torch.equal(theirs.read_in(read), z)


@pytest.mark.parametrize("columns", [[], [5, 7]])
def test_a_linear_map_gives_the_same_through_bases_or_not(columns):
    bases = TapBases(tuple(torch.zeros(WIDTH, width) for width in columns)) if columns else None
    ours = drawn(LinearCorrection(reading_of(WIDTH, TAPS), bases), 1)
    theirs = alone.LinearMap(d_model=WIDTH, taps=list(TAPS), tap_norms=True, columns=columns)
    stored = {name.removeprefix("interface."): one for name, one in ours.stored().items()}
    theirs.load_state_dict(stored)
    assert torch.equal(theirs(states(20)), ours(states(20)))


def test_every_form_of_a_module_gives_the_same():
    assert alone.FORMS.keys() == MODULES.keys()
    z = torch.randn(2, 20, D_ABI, generator=torch.Generator().manual_seed(3))
    for name, kind in MODULES.items():
        ours, y = drawn(kind(D_ABI), 2), drawn(kind(D_ABI), 2).y(z)
        theirs = same(ours, alone.FORMS[name](D_ABI))(z)
        # A core's form adds z, which the library takes off again: that rounds.
        torch.testing.assert_close(theirs, y, rtol=0, atol=1e-5 if name == "lite" else 0)
        assert y.std() > 0.1  # control: there is something to compare


@pytest.fixture
def gates():
    """The library's gated correction, and the lone gate with the same tensors."""
    correction = Correction(drawn(Interface(WIDTH, D_ABI, TAPS), 1), drawn(MlpModule(D_ABI), 2))
    own = drawn(gate.Gate(D_ABI), 4)
    gated = gate.Gated(correction.eval(), own)
    own.bias.sub_(gated.scores(states(200)).median())  # open about as often as shut
    return gated, same(own, alone.Gate(D_ABI))


@pytest.mark.parametrize("parts", [[20], [gate.SPAN + 40], [7, 1, 12]], ids=str)
@pytest.mark.parametrize("padded", [0, 5])
def test_the_gate_gives_the_same_bits_at_once_and_piece_by_piece(gates, parts, padded):
    gated, lone = gates
    read, seq = states(sum(parts)), sum(parts)
    mask = torch.ones(2, seq)
    mask[0, :padded] = 0
    caches, start = (DynamicCache(), DynamicCache()), 0
    for part in parts:
        end = start + part
        piece = {tap: state[:, start:end] for tap, state in read.items()}
        asked = {"attention_mask": mask[:, :end]}
        ours = gated_forward.gated_correction(gated, piece, asked, caches[0])
        z = gated.correction.interface.read_in(piece)
        evidence = lone.evidence(z, mask[:, :end], caches[1])
        change = gated.correction(piece)
        theirs = torch.where(evidence[..., None] > 0, change, torch.zeros_like(change))
        assert torch.equal(theirs, ours)
        start = end
    kept = [cache.layers[-1].keys for cache in caches]
    assert torch.equal(*kept)
    assert kept[0].shape == (2, 1, seq, 1)
    assert 0 < (kept[0] > 0).float().mean() < 1  # control: neither open nor shut everywhere


def test_another_memory_is_noticed(gates):
    gated, lone = gates
    z = torch.randn(2, 40, D_ABI, generator=torch.Generator().manual_seed(5))
    expected = gated.gate.evidence(gated.gate.scores(z))
    assert torch.equal(lone.evidence(z, None, None), expected)
    lone.memory.fill_(0.8)
    assert not torch.equal(lone.evidence(z, None, None), expected)
