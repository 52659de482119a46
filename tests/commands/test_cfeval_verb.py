"""abi cfeval: the accuracy of an independent loop, exactly, and what it says beside it."""

from __future__ import annotations

import json

import pytest
import torch

from transplant.files.result_kinds import kind_of

ROWS = 120


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, tiny_texts):
    """Sentences and the same with two words exchanged; two pairs are identical."""
    sentences = [s.strip() for text in tiny_texts[:12] for s in text.split(".") if len(s) > 40]
    rows = []
    for number, good in enumerate(sentences[:ROWS]):
        words = good.split()
        words[1], words[2] = words[2], words[1]
        bad = good if number < 2 else " ".join(words)
        rows.append({"good": good, "bad": bad, "field": f"field-{number % 3}"})
    path = tmp_path_factory.mktemp("pairs") / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path, rows[2:]


@torch.no_grad()
def loop(name, root, rows) -> list[bool]:
    """Each pair by itself, through `model(input_ids=...)`."""
    import transplant
    from registry.store import Registry

    model = transplant.load(name, library=Registry.open(root))
    end = model.tokenizer.eos_token_id

    def score(text: str) -> float:
        ids = torch.tensor([[end, *model.tokenizer(text, add_special_tokens=False).input_ids]])
        logits = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        return logits.gather(1, ids[0, 1:, None]).double().sum().item()

    return [score(row["good"]) > score(row["bad"]) for row in rows]


def test_accuracy_is_that_of_an_independent_loop(trained_abi, pairs):
    path, rows = pairs
    words = ("cfeval", "--model", "tales@tiny-gpt2", "--baseline", "tiny-gpt2", "--pairs")
    ran = trained_abi(*words, str(path), "--json")
    assert ran.code == 0, ran.err
    found = ran.json
    assert kind_of(found) == "pairs"
    model, raw = (loop(name, trained_abi.root, rows) for name in ("tales@tiny-gpt2", "tiny-gpt2"))
    assert found["accuracy"] == sum(model) / len(rows)
    assert found["baseline_accuracy"] == sum(raw) / len(rows)
    assert model != raw  # control: two models, two answers
    differ = found["mcnemar"]["only_model"] + found["mcnemar"]["only_baseline"]
    assert differ == sum(a != b for a, b in zip(model, raw, strict=True))
    for name, row in found["fields"].items():
        own = [r for r, given in zip(model, rows, strict=True) if given["field"] == name]
        assert (row["pairs"], row["accuracy"]) == (len(own), sum(own) / len(own))
        low, high = row["interval"]["accuracy"]
        assert low <= row["accuracy"] <= high
    assert found["data"]["identical"] == 2
    assert "2 pairs of identical texts" in ran.err
    assert found["start"] == "<|endoftext|>"


def test_a_table_is_shown_and_a_share_of_each_paradigm_drawn(trained_abi, pairs):
    path, _ = pairs
    words = ("cfeval", "--model", "tiny-gpt2", "--pairs", str(path), "--per-paradigm", "7")
    assert "field-2" in trained_abi(*words).out
    found = trained_abi(*words, "--json").json
    assert {row["pairs"] for row in found["fields"].values()} == {7}
    assert "baseline" not in found
    assert trained_abi(*words, "--seed", "1", "--json").json["pairs"] == 21


def test_a_decoder_and_an_encoder_decoder_are_scored(trained_abi, pairs):
    path, _ = pairs
    for name in ("tiny-llama", "tiny-t5"):
        ran = trained_abi("cfeval", "--model", name, "--pairs", str(path), "--json")
        assert 0 < ran.json["accuracy"] < 1, ran.err


def test_bad_pairs_are_refused_before_a_model_is_loaded(trained_abi, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"good": "a"}\n')
    for path in ("bad.jsonl", "missing.jsonl"):
        ran = trained_abi("cfeval", "--model", "none", "--pairs", str(tmp_path / path), "--json")
        assert ran.code == 1
        assert path in ran.json["what"]


def test_a_space_is_put_before_every_text_where_it_is_asked_for(trained_abi, pairs):
    path, rows = pairs
    name, root = "tales@tiny-gpt2", trained_abi.root
    words = ("cfeval", "--model", name, "--pairs", str(path), "--json")
    plain, spaced = (trained_abi(*words, *more).json for more in ((), ("--space",)))
    right = loop(name, root, [{side: f" {row[side]}" for side in ("good", "bad")} for row in rows])
    assert spaced["accuracy"] == sum(right) / len(rows)
    assert right != loop(name, root, rows)  # control: a text begins with another token
    assert (plain["space"], spaced["space"]) == (False, True)
