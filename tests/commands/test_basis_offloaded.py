"""`abi basis ...` of a backbone whose weights are on the disk: what needs them is refused first."""

from __future__ import annotations

import pytest

from tests.commands.basis_runs import fit_named
from tests.commands.test_bad_input import assert_refused
from transplant.basis import train
from transplant.workflows.basis import compress
from transplant.workflows.basis.compare import job

FAR = ("--device-map", '{"": "disk"}')
BRIEF = ("--steps", "2", "--batch", "2", "--window", "64", "--tokens", "2k",
         "--evaluate-every", "2", "--calibration-tokens", "300", "--eval-tokens",
         "300")  # fmt: skip


@pytest.fixture(scope="module")
def allocated(trained_abi, corpus):
    """A registry with bases of tiny-llama that have ranks: `far-out` and `far-in` of gradients."""
    more = {"far-out": (), "far-in": ("--directions", "gradients", "--retain", corpus)}
    for name, words in more.items():
        fit_named(trained_abi, corpus, name, "--layers", "q_proj", *words)
        few = ("--budget-like", "lora:r=2", "--json")
        scored = ("--score", "energy")
        ran = trained_abi("basis", "allocate", f"{name}@tiny-llama", *scored, *few)
        assert ran.code == 0, ran.err
    return trained_abi


@pytest.fixture
def no_work(monkeypatch):
    """Neither training nor scoring may begin."""
    begun = lambda *_args, **_options: pytest.fail("work")  # noqa: E731
    monkeypatch.setattr(train, "train_inside", begun)
    monkeypatch.setattr(compress, "score_text", begun)
    monkeypatch.setattr(job, "_cells_of", begun)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("adapt", "far-out@tiny-llama", "--domain", "tales"), "directions of outputs needs"),
        (("adapt", "far-in@tiny-llama", "--domain", "tales", "--merge", "m"), "a merge needs all"),
        (("adapt", "far-out@tiny-llama", "--compress", "0.9"), "a compressed copy needs all"),
        (("compare", "--backbone", "tiny-llama", "--domain", "tales"), "a comparison of adapters"),
    ],
)
def test_what_needs_weights_in_memory_is_refused_before_the_work(
    allocated, corpus, tmp_path, words, said
):
    if "compare" in words:
        pytest.importorskip("peft")
    given = [*words, "--data", corpus]
    if "--compress" not in words:
        given += ["--forget", corpus, *BRIEF]
    if words[0] == "adapt" and "--compress" not in words:
        given += ["--name", "trained-far"]
    if "--compress" in words or "compare" in words:
        given += ["--out", str(tmp_path / "out")]
    assert_refused(allocated("basis", *given, *FAR, "--json"), said, "--device-map")
    assert not (tmp_path / "out").exists()


def test_an_adapter_inside_directions_of_gradients_is_trained_from_the_disk(allocated, corpus):
    words = ("far-in@tiny-llama", "--domain", "tales", "--data", corpus, "--forget", "none")
    runs = [
        allocated("basis", "adapt", *words, *BRIEF, "--name", name, *where, "--json")
        for name, where in (("trained-near", ()), ("trained-far", FAR))
    ]
    for ran in runs:
        assert ran.code == 0, ran.err
    near, far = (ran.json["losses"]["domain"]["adapted"] for ran in runs)
    assert far == pytest.approx(near, abs=1e-4)
