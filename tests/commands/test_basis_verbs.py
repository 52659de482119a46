"""The verbs `abi basis ...` on tiny backbones, one after the other as a user runs them."""

from __future__ import annotations

import pytest

from tests.commands.test_bad_input import assert_refused

FIT = ("--tokens", "3k", "--window", "64", "--max-rank", "16")


@pytest.fixture(scope="module")
def fitted(trained_abi, corpus):
    """A registry with the basis `b` of tiny-llama."""
    words = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, "--name", "b", *FIT)
    ran = trained_abi(*words, "--json")
    assert ran.code == 0, ran.err
    return trained_abi, ran.json


def test_fit_reports_and_stores_a_basis(fitted):
    abi, report = fitted
    assert report["maps"] == 14
    assert report["directions"] <= 16 * 14
    assert report["types"]["mlp.up_proj"]["width"] == 48
    assert {row["name"] for row in abi("list", "--json").json if row["kind"] == "basis"} == {"b"}
    assert abi("show", "b@tiny-llama", "--json").json["kind"] == "basis"


def test_a_basis_alone_is_no_model(fitted):
    abi, _ = fitted
    sides = ("--anchor", "tiny-llama", "--candidate", "b@tiny-llama")
    assert_refused(abi("nib", *sides, "--json"), "a basis alone")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--layers", "nowhere"), "self_attn.q_proj"),
        (("--tokens", "none"), "200k"),
        (("--tokens", "9", "--window", "16", "--max-rank", "48"), "too few tokens"),
        (("--floor", "2"), "floor"),
    ],
)
def test_bad_input_is_refused_before_the_work(fitted, corpus, more, said):
    abi, _ = fitted
    words = ("basis", "fit", "--backbone", "tiny-llama", "--data", corpus, "--name", "c", *FIT)
    ran = abi(*words, *more, "--json")
    assert_refused(ran, said)


def test_a_verb_of_a_group_names_its_own_help(fitted):
    abi, _ = fitted
    ran = abi("basis", "fit", "--nowhere")
    assert ran.code == 2
    assert "abi basis fit --help" in ran.err
    assert abi("basis", "nowhere", "--json").code == 2
    assert_refused(abi("basis", "fit", "--json", "--name", "b"), "Missing option")
