"""Runs in folders: of an earlier version, too, by the keys of the present one."""

from __future__ import annotations

import json

from transplant.studio.evidence import evidence_of
from transplant.studio.runs import Runs


def test_a_run_of_an_earlier_version_has_the_present_keys(tmp_path):
    former = {
        "model": "m@b", "baseline": "b", "tau": 1.0, "coverage": 0.5, "curve": [],
        "areas": {"routed": {"nats": 0.1, "low": 0.0, "high": 0.2}},
    }  # fmt: skip
    (tmp_path / "route.json").write_text(json.dumps(former))
    runs = Runs([tmp_path])
    (run,) = runs.found()
    assert runs.read(run)["areas"] == {"routed": {"nats": 0.1, "interval": [0.0, 0.2]}}
    assert runs.kind(run) == "route"


def test_evidence_of_an_earlier_version_has_its_intervals():
    shares = {"ppl": {"candidate": 2.0}, "recovered": {"candidate": 0.5}}
    bounds = {"recovered": {"candidate": [0.25, 0.75]}}
    found = [evidence_of({**shares, key: bounds})[0].interval for key in ("intervals", "interval")]
    assert found == [(0.25, 0.75)] * 2
    assert evidence_of(shares)[0].interval is None  # control
