"""`abi basis ... --layer-at-a-time`: the same numbers, and nothing left behind."""

from __future__ import annotations

import pytest

from tests.commands.basis_runs import FIT, fit_named
from tests.commands.test_bad_input import assert_refused
from transplant.basis import descent, layerwise
from transplant.errors import InputError
from transplant.files import room
from transplant.workflows.basis import allocate


@pytest.fixture(scope="module")
def fitted(trained_abi, corpus):
    """A registry with the basis `near` of tiny-llama."""
    return fit_named(trained_abi, corpus, "near")


def test_a_fit_layer_by_layer_is_the_same_and_leaves_nothing_behind(fitted, corpus):
    abi, whole = fitted
    words = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, *FIT, "--json")
    ran = abi(*words, "--name", "by-layer", "--layer-at-a-time")
    assert ran.code == 0, ran.err
    assert ran.json["types"] == whole["types"]
    assert ran.json["directions"] == whole["directions"]
    allocate = ("basis", "allocate", "by-layer@tiny-llama", "--budget-like", "lora:r=2", "--json")
    near, far = abi(*allocate), abi(*allocate, "--layer-at-a-time")
    assert far.code == 0, far.err
    assert far.json["ranks"] == near.json["ranks"]
    assert far.json["share_kept"] == pytest.approx(near.json["share_kept"], rel=1e-3)
    assert not [*abi.root.rglob("*.layers"), *abi.root.rglob("*.fisher")]
    t5 = ("--backbone", "tiny-t5", "--name", "c", "--layer-at-a-time")
    assert_refused(abi("basis", "fit", "--data", corpus, *FIT, *t5, "--json"), "decoder-only")


@pytest.mark.usefixtures("bfloat16")
def test_a_killed_run_does_not_go_on_in_another_arithmetic(fitted, corpus, monkeypatch):
    abi, _ = fitted
    fit = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, *FIT, "--layers", "q_proj",
           "--name", "killed", "--layer-at-a-time", "--json")  # fmt: skip
    scores = ("basis", "allocate", "killed@tiny-llama", "--budget", "600", "--tokens", "1k",
              "--layer-at-a-time", "--json")  # fmt: skip

    def killed(*_args, **_options):
        raise InputError("killed")

    for words, module, step in ((fit, layerwise, "solve"), (scores, descent, "_loss_gradients")):
        with monkeypatch.context() as patch:
            patch.setattr(module, step, killed)
            assert_refused(abi(*words), "killed")
        assert_refused(abi(*words, "--dtype", "bfloat16"), "another run")
        ran = abi(*words)  # the control
        assert ran.code == 0, ran.err


@pytest.mark.parametrize("directions", ["outputs", "gradients"])
def test_a_disk_without_room_for_what_passes_between_layers_is_refused_first(
    fitted, corpus, monkeypatch, directions
):
    abi, _ = fitted
    retain = ("--retain", corpus) if directions == "gradients" else ()
    words = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, *FIT, *retain,
             "--directions", directions, "--name", "f", "--layer-at-a-time", "--json")  # fmt: skip
    monkeypatch.setattr(room, "free_bytes", lambda _: room.LEAST_FREE)
    monkeypatch.setattr(layerwise, "carry_up", lambda *_args, **_options: pytest.fail("work"))
    assert_refused(
        abi(*words), "too full for what passes between layers", f"{room.LEAST_FREE:,} bytes",
        "fewer --tokens, or a --registry on another disk",
    )  # fmt: skip
    assert not [*abi.root.rglob("*.layers")]


def test_scores_layer_by_layer_outlive_a_store_that_fails(fitted, monkeypatch):
    abi, _ = fitted
    words = ("basis", "allocate", "near@tiny-llama", "--budget", "600", "--tokens", "1k",
             "--layer-at-a-time", "--json")  # fmt: skip

    def full(*_args, **_options):
        raise InputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(allocate, "store_basis", full)
        assert_refused(abi(*words), "the disk is full")
    assert [*abi.root.rglob("*.fisher")]

    def again(*_args):
        raise AssertionError("scored again")

    monkeypatch.setattr(descent, "_run_down", again)
    ran = abi(*words)
    assert ran.code == 0, ran.err
    assert not [*abi.root.rglob("*.fisher")]
