"""abi cfgen: a file of pairs, and what it refuses."""

from __future__ import annotations

import json


def test_pairs_are_written_and_told(abi, tmp_path):
    out = tmp_path / "pairs.jsonl"
    words = ("cfgen", "--task", "python-scope", "--n", "41", "--seed", "3", "--out", str(out))
    ran = abi(*words, "--json")
    assert ran.code == 0, ran.err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == ran.json["pairs"] == sum(ran.json["fields"].values()) == 41
    assert set(rows[0]) == {"good", "bad", "label", "task", "field", "couple"}
    first = out.read_bytes()
    assert str(out) in abi(*words).out
    assert out.read_bytes() == first


def test_a_task_or_a_number_that_is_not_there_is_refused_and_nothing_written(abi, tmp_path):
    out = tmp_path / "pairs.jsonl"
    for task, n, said in (("core", "5", "--task"), ("coref", "99999999", "from 1 to 115,304")):
        ran = abi("cfgen", "--task", task, "--n", n, "--out", str(out), "--json")
        assert ran.code == 1
        assert said in f"{ran.json['what']} {ran.json['expected']}"
    assert not out.exists()
    assert abi("cfgen", "--task", "coref", "--out", str(tmp_path)).code == 1
