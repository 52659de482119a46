"""`abi compare`: a core against the plain transformer of its recipe."""

from __future__ import annotations

import math
import shutil

import pytest

from registry.seal import sealed
from tests.commands.conftest import Abi


def train(abi, name, *more):
    words = ("train-core", "--size", "2M", "--data", abi.corpus, "--name", name, "--json")
    few = ("--tokens", "192", "--window", "32", "--batch", "2", "--vocab", "320")
    ran = abi(*words, *few, "--eval-tokens", "64", *more)
    assert ran.code == 0, ran.err


@pytest.fixture(scope="module")
def cores(tmp_path_factory, corpus):
    """`a` and `b` of two seeds, each with its baseline; tests must not change them."""
    abi = Abi(tmp_path_factory.mktemp("cores"), corpus)
    for seed, name in enumerate("ab"):
        train(abi, name, "--seed", str(seed))
        train(abi, f"{name}-plain", "--seed", str(seed), "--baseline")
    return abi


def test_the_difference_is_that_of_the_perplexities_and_the_seeds_have_an_interval(cores):
    report = cores("compare", "a", "b", "--eval-tokens", "400", "--json").json
    differences = []
    for pair, seed in zip(report["pairs"], (0, 1), strict=True):
        ours, theirs = pair["ppl"]["core"], pair["ppl"]["baseline"]
        assert pair["difference_percent"] == pytest.approx(100 * (ours / theirs - 1), abs=1e-6)
        low, high = pair["interval"]
        assert low <= pair["difference_percent"] <= high
        assert pair["seed"] == seed
        parameters = pair["parameters"]
        assert parameters["baseline"] == pytest.approx(parameters["core"], rel=0.005)
        differences.append(pair["difference_percent"])
    mean = report["mean"]
    assert mean["difference_percent"] == pytest.approx(sum(differences) / 2)
    half = 12.706 * abs(differences[0] - differences[1]) / 2  # Student, one degree of freedom
    assert mean["interval"][1] - mean["difference_percent"] == pytest.approx(half, rel=1e-3)
    assert mean["contains_zero"] == (mean["interval"][0] <= 0 <= mean["interval"][1])


def test_a_core_against_itself_is_refused_and_so_is_another_recipe(cores):
    ran = cores("compare", "a", "--baseline", "a")
    assert ran.code == 1
    assert "a is not a plain transformer" in " ".join(ran.err.split())
    ran = cores("compare", "a", "--baseline", "b-plain")
    assert ran.code == 1
    assert "seed differs" in " ".join(ran.err.split())
    assert cores("compare", "a", "--baseline", "ref-gpt2").code == 1
    assert cores("compare", "a", "b", "--baseline", "a-plain").code == 1
    assert cores("compare", "nothing").code == 1


def test_what_does_not_say_what_it_was_trained_on_is_refused_before_any_is_loaded(cores):
    folder = str(cores.root / "a-plain")
    for words, said in (
        (("a", "--baseline", folder), "does not say what it was trained on"),
        (("a", "b", "--baseline", "a-plain", "--baseline", "nothing"), "nothing"),
        (("a", "b", "--baseline", "a-plain", "--baseline", "a-plain"), "seed differs"),
    ):
        ran = cores("compare", *words)
        assert ran.code == 1
        assert said in " ".join(ran.err.split())
        assert "loading" not in ran.err


def test_one_pair_has_no_interval_over_seeds(cores):
    report = cores("compare", "a", "--eval-tokens", "64", "--json").json
    assert "mean" not in report
    assert math.isfinite(report["pairs"][0]["difference_percent"])


def test_text_that_has_changed_is_said(cores, tmp_path):
    abi = Abi(tmp_path / "registry", cores.corpus)
    shutil.copytree(cores.root, abi.root)
    manifest = abi.root / "a" / "manifest.json"
    plain = abi.root / "a-plain" / "manifest.json"
    for file in (manifest, plain):
        text = file.read_text()
        split = cores("show", "a", "--json").json["made"]["split"]
        file.write_text(sealed(text.replace(split, "0" * 64)))
    ran = abi("compare", "a", "--eval-tokens", "64")
    assert ran.code == 0, ran.err
    assert "has changed" in " ".join(ran.err.split())
