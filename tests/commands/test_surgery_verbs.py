"""extract, inspect and the verbs that work with pieces, on tiny backbones and real files."""

from __future__ import annotations

import pytest

PIECES = ["embeddings", "heads.0", "ffn.0", "heads.1", "ffn.1", "lm_head"]


@pytest.fixture(scope="module")
def bank(trained_abi):
    """A bank of tiny-llama's pieces."""
    ran = trained_abi("extract", "--backbone", "tiny-llama", "--name", "pieces", "--json")
    assert ran.code == 0, ran.err
    return ran.json


def test_a_bank_says_what_it_holds_and_where_it_comes_from(trained_abi, bank):
    assert bank["pieces"] == PIECES
    said = trained_abi("inspect", "pieces", "--verify", "--json").json
    assert [piece["piece"] for piece in said["pieces"]] == PIECES
    assert (said["sha256"], said["parameters"]) == (bank["sha256"], bank["parameters"])
    assert said["backbone"]["id"] == "tiny-llama"
    heads = next(piece for piece in said["pieces"] if piece["piece"] == "heads.1")
    assert heads["recipe"]["kv_heads"] == 2  # grouped: half as many as queries
    assert heads["tensors"]["value.weight"] == [16, 32]
    assert len({piece["sha256"] for piece in said["pieces"]}) == len(PIECES)
    shown = trained_abi("inspect", "pieces@tiny-llama").out
    assert "heads.1" in shown
    assert trained_abi("show", "pieces@tiny-llama", "--json").json["kind"] == "bank"


def test_damage_is_seen(abi):
    words = ("extract", "--backbone", "tiny-gpt2", "--components", "ffn", "--layers", "1")
    made = abi(*words, "--name", "one", "--json").json
    assert made["pieces"] == ["ffn.1"]
    assert abi(*words, "--name", "one").code == 1  # taken
    file = abi.root / "tiny-gpt2" / "d0" / "bank" / "one" / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    ran = abi("inspect", "one", "--verify", "--json")
    assert (ran.code, ran.json["error"]) == (1, "CorruptError")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("extract", "--backbone", "tiny-gpt2", "--name", "x", "--layers", "7"), "--layers"),
        (("extract", "--backbone", "tiny-gpt2", "--name", "x", "--layers", "a"), "--layers"),
        (("extract", "--backbone", "tiny-gpt2", "--name", "x", "--components", ","), "nothing"),
        (("inspect", "nowhere"), "no bank nowhere"),
    ],
)
def test_what_cannot_be_is_refused_by_name(trained_abi, words, said):
    ran = trained_abi(*words, "--json")
    assert ran.code == 1
    assert said in ran.json["what"]


def test_tokens_are_spelled_and_counted(trained_abi):
    words = ("tokenize-align", "--from", "tiny-gpt2", "--to", "tiny-t5")
    ran = trained_abi(*words, "--data", trained_abi.corpus, "--json")
    assert ran.code == 0, ran.err
    said = ran.json
    assert sum(said["tokens"].values()) == pytest.approx(1.0)
    assert sum(said["text"].values()) == pytest.approx(1.0)
    assert 0.0 < said["tokens"]["exact"] < 1.0
    assert 0.0 < said["pairs"]["paired_share"] <= 1.0
    assert trained_abi(*words, "--data", trained_abi.corpus).code == 1  # taken
    same = trained_abi(
        "tokenize-align", "--from", "tiny-t5", "--to", "tiny-t5", "--data", trained_abi.corpus,
        "--json",
    ).json  # fmt: skip
    assert same["pairs"]["paired_share"] > said["pairs"]["paired_share"]
    assert trained_abi("rm", "from-tiny-t5@tiny-t5", "--yes").code == 0
