"""`abi demo`: nothing of the user's registry is met or changed."""

from __future__ import annotations

import dataclasses
import json

import pytest

from registry.store import Registry
from transplant import Workspace
from transplant.errors import InputError
from transplant.workflows import demo
from transplant.workflows.move import whole  # noqa: F401  it keeps what it imports
from transplant.workflows.train import module


def test_a_demo_works_in_a_registry_of_its_own(trained_abi, monkeypatch, tmp_path):
    seen = []

    def stop(work, job, **_):
        seen.append((work.library.root, job.backbone))
        raise InputError("far enough")

    monkeypatch.setattr(module, "run_train_job", stop)
    ran = trained_abi("demo", "--out", str(tmp_path / "out"), "--json")
    assert ran.json["what"] == "far enough"
    assert seen == [(tmp_path / "out" / "registry", "ref-gpt2")]


@pytest.fixture
def quick(abi, monkeypatch):
    """The plan at the size of tiny backbones."""
    move = dataclasses.replace(demo.REAL.move, excerpts=40)
    train = dataclasses.replace(demo.REAL.train, d_abi=16, window=64)
    plan = dataclasses.replace(demo.REAL, move=move, train=train)
    monkeypatch.setattr(demo, "REAL", plan)
    return abi


def test_a_demo_on_real_models_leaves_their_registry_as_it_is(quick, tmp_path):
    pytest.importorskip("matplotlib")
    for name, backbone in (("smollm2", "tiny-gpt2"), ("gemma", "tiny-llama")):
        folder = quick.root / backbone
        folder.rename(tmp_path / name)
        assert quick("add", str(tmp_path / name), "--name", name).code == 0
    before = quick.rows()
    words = (
        "demo", "--real", "--domain", "tales", "--data", quick.corpus, "--steps", "4", "--tokens",
        "2000", "--eval-tokens", "1000", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    ran = quick(*words, "--json")
    assert ran.code == 0, (ran.out, ran.err)
    report = ran.json
    assert "not how well" in " ".join(ran.err.split())
    (move,) = report["moves"]
    assert (move["donor"], move["name"]) == ("tales@smollm2", "tales-from-smollm2@gemma")
    assert {"native", "random_module", "linear_surrogate"} <= move["ppl"].keys()
    assert report["plan"]["train"]["steps"] == 4
    assert {row["made"]["verb"] for row in report["trained"].values()} == {"demo"}
    assert all("token_counts" not in row["made"] for row in report["trained"].values())
    assert quick.rows() == before
    made = Registry.open(tmp_path / "out" / "registry")
    added = made.find("backbone", "gemma").manifest.made["added"]
    assert (added["by"], added["path"]) == ("reference", str(tmp_path / "gemma"))
    demo.refer_to(Workspace(library=made), Registry.open(quick.root), ["gemma"])  # of a second one
    page = (tmp_path / "out" / "index.html").read_text()
    for words in (
        "<code>tales</code> module",
        "<code>smollm2</code>, in at most\n4 steps",
        "gains",
        "paired on text of the domain",
    ):
        assert words in page
    assert json.loads((tmp_path / "out" / "result.json").read_text())["moves"] == report["moves"]


def test_a_real_model_that_was_not_added_is_refused_with_what_to_type(quick, tmp_path):
    ran = quick("demo", "--real", "--out", str(tmp_path / "out"), "--json")
    assert (ran.code, ran.json["error"]) == (1, "NotFoundError")
    assert "smollm2 was not added" in ran.json["what"]
    assert "abi add real/smollm2.gguf --name smollm2" in ran.json["hint"]
    assert not (tmp_path / "out").exists()
    (quick.root / "tiny-gpt2").rename(tmp_path / "smollm2")
    assert quick("add", str(tmp_path / "smollm2"), "--name", "smollm2").code == 0
    assert "gemma" in quick("demo", "--real", "--out", str(tmp_path / "out"), "--json").json["what"]


def test_a_plan_keeps_what_is_not_given():
    plan = demo.SHIPPED.of("python", steps=7, train_tokens=None)
    assert (plan.train.steps, plan.train.train_tokens) == (7, 200_000)
    assert plan.eval_tokens == demo.SHIPPED.eval_tokens
    assert demo.REAL.of("pascal", "p.jsonl").data == "p.jsonl"
    assert demo.SHIPPED.of("python") == demo.SHIPPED
