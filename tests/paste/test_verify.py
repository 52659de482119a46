"""The verdict on a paste hangs on the paste, and not on how much of it a core's text shows."""

from __future__ import annotations

import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.backbones.layercake_cores import tiny_core
from tests.paste.test_promised import flip, promises
from transplant.paste import verify
from transplant.paste.body import verify_body
from transplant.paste.core import open_core
from transplant.paste.flips import flips, spread
from transplant.paste.paste import paste, plan_paste
from transplant.paste.verify import FAIL, NOT_SENSITIVE, PASS, verify_paste
from transplant.tables.paste import paste_table

pytestmark = pytest.mark.bits

PREFIX = "model.domain_modules.tales."


def put(core, folder):
    core.save_pretrained(folder)
    return folder


@pytest.fixture
def pasted(tmp_path):
    """Makes a source, and a core with its module pasted in; the core may be changed first."""

    def make(form="lite", change=None, seed=0, of_source=None, **settings):
        donor = tiny_core({"tales": form}, seed)
        if of_source is not None:
            of_source(donor)
        source = put(donor, tmp_path / "source")
        core = tiny_core(seed=seed + 1, **settings)
        if change is not None:
            change(core)
        target = put(core, tmp_path / "target")
        paste(plan_paste(source, target), tmp_path / "out")
        return source, tmp_path / "out"

    return make


def silence(core):
    """Nothing that is computed in the shared space comes back from there."""
    with torch.no_grad():
        core.model.abi_to_core.weight.zero_()


def whisper(core):
    """What the module adds is a hundred millionth of what it is given."""
    with torch.no_grad():
        for name, parameter in core.named_parameters():
            parameter.mul_(1e-8 if ".down." in name else 1)


def verdicts(verdict):
    return [check.verdict for check in verdict.checks]


@pytest.mark.parametrize("form", ["lite", "full"])
@pytest.mark.parametrize("seed", range(3))
def test_a_right_paste_passes_and_every_check_has_a_control_that_it_sees(pasted, form, seed):
    source, out = pasted(form, seed=seed)
    verdict = verify_paste(source, out, "tales", tokens=12, seed=seed)
    assert verdict.passed
    assert verdicts(verdict) == [PASS] * 4


def test_where_the_gentlest_flip_is_not_seen_a_harder_one_is_found(pasted):
    verdict = verify_paste(*pasted(of_source=whisper), "tales", tokens=4)
    assert verdicts(verdict) == [PASS] * 4
    assert verdict.checks[0].control.startswith("bit 22 ")  # the control: a hash sees every flip
    assert not verdict.checks[3].control.startswith("bit 22 ")


def test_what_can_see_nothing_is_said_to_be_not_sensitive_beside_the_pass_of_the_rest(pasted):
    source, out = pasted(change=silence)
    verdict = verify_paste(source, out, "tales", tokens=4)
    assert verdicts(verdict) == [PASS, PASS, NOT_SENSITIVE, NOT_SENSITIVE]
    assert verdict.passed
    report = {"from": "a", "to": "b", "pass": True, "modules": [verdict.as_dict()], "body": None}
    assert report["modules"][0]["pass"]
    shown = [cell for row in paste_table(report).rows for cell in row]
    assert shown.count(NOT_SENSITIVE) == 2
    assert shown.count(PASS) == 2


def one_bit(name):
    def change(tensors):
        tensors[name] = next(flips({"one": tensors[name]}))[0]["one"]

    return change


def one_sign_of_zero(tensors):
    tensors[PREFIX + "norm.bias"] *= 0.0
    tensors[PREFIX + "norm.bias"][0] = -0.0


def swapped(tensors):
    up, gate = (PREFIX + name + ".weight" for name in ("up", "gate"))
    tensors[up], tensors[gate] = tensors[gate], tensors[up]


def last_bit(tensors):
    tensors[PREFIX + "down.weight"].view(torch.int32)[-1, -1] ^= 1


def another(tensors):
    core = tiny_core({"other": "lite", "tales": "lite"}, seed=9)
    tensors |= {name: t for name, t in core.state_dict().items() if name.startswith(PREFIX)}


WRONG = [one_sign_of_zero, swapped, last_bit, another, one_bit(PREFIX + "a")]


@pytest.mark.parametrize(("silent", "damage"), [(False, it) for it in WRONG] + [(True, last_bit)])
def test_a_wrong_paste_fails_however_little_of_it_is_seen(pasted, silent, damage):
    source, out = pasted(change=silence if silent else None)
    file = out / "model.safetensors"
    tensors = load_file(file)
    damage(tensors)
    save_file({n: t.contiguous() for n, t in tensors.items()}, file, metadata={"format": "pt"})
    verdict = verify_paste(source, out, "tales", tokens=4)
    assert not verdict.passed
    assert verdict.checks[0].verdict == FAIL


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@pytest.mark.parametrize("room", [1, 2, 16])
def test_text_ends_where_the_positions_of_the_core_do(pasted, caplog, positions, room):
    source, out = pasted(positions=positions, max_position_embeddings=room)
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        verdict = verify_paste(source, out, "tales", tokens=50)
    finally:
        logger.removeHandler(caplog.handler)
    assert verdict.passed
    written = {1: 0, 2: 1, 16: 8}[room]
    assert verdict.checks[3].name.startswith(f"{written} greedy tokens")
    assert not [record for record in caplog.records if "max" in record.getMessage()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_flips_change_one_bit_of_one_number_and_none_becomes_infinite(dtype):
    tensors = {"a": torch.tensor([0.0, 1.5, -3.0]).to(dtype), "norm": torch.ones(()).to(dtype)}
    found = list(flips(tensors))
    assert len({where for _, where in found}) == len(found) > 15
    for changed, where in found:
        assert all(tensor.isfinite().all() for tensor in changed.values())
        pairs = [(tensors[n].reshape(-1), changed[n].reshape(-1)) for n in tensors]
        raw = [(x.view(torch.uint8).int(), y.view(torch.uint8).int()) for x, y in pairs]
        if "set to" in where:
            assert sum(not torch.equal(x, y) for x, y in raw) == 1
            continue
        different = sum(bin(int(a) ^ int(b)).count("1") for x, y in raw
                        for a, b in zip(x, y, strict=True))  # fmt: skip
        assert different == 1, where


def test_search_of_a_large_core_ends_after_a_few_changes_from_gentle_to_hard(pasted, monkeypatch):
    source, out = pasted(change=silence)
    everything = [where for _, where in flips(verify.read_module(open_core(source), "tales"))]
    tried: list[list[str]] = []

    def counted(tensors, most):
        tried.append([where for _, where in spread(tensors, most)])
        return spread(tensors, most)

    monkeypatch.setattr(verify, "spread", counted)
    assert verify_paste(source, out, "tales", tokens=4).passed
    assert tried[2] == tried[3] == everything  # the control: of a small one, all of them
    monkeypatch.setattr(verify, "SEARCH", 1)
    tried.clear()
    verdict = verify_paste(source, out, "tales", tokens=4)
    assert verdicts(verdict) == [PASS, PASS, NOT_SENSITIVE, NOT_SENSITIVE]
    for found in tried[2:]:
        assert len(found) == verify.LEAST_TRIED
        assert (found[0], found[-1]) == (everything[0], everything[-1])


def test_any_tensor_that_is_not_as_the_manifest_says_fails_the_body(pasted):
    _, out = pasted()
    promised = promises(out)
    assert verify_body(out, promised).passed
    assert verify_body(out, promised).control
    for place, name in enumerate(promised):
        flip(out, name, place)
        found = verify_body(out, promised)
        assert not found.passed
        assert name in (found.differs or "")
        flip(out, name, place)
    assert not verify_body(out, {**promised, "more": promised[name]}).passed
