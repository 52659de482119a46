"""`abi demo`: nothing of the user's registry is met or changed."""

from __future__ import annotations

from transplant.errors import InputError
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
