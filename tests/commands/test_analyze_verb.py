"""abi analyze: a catalog of a donor, and the advice that reads it."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def catalog(trained_abi, tmp_path_factory):
    """A catalog of tiny-gpt2 against tiny-llama; its files and what was printed."""
    folder = tmp_path_factory.mktemp("catalog")
    made = trained_abi("extract", "--backbone", "tiny-gpt2", "--name", "pieces", "--json")
    assert made.code == 0, made.err
    for name in ("tiny-gpt2", "tiny-llama"):
        words = ("capture", "--backbone", name, "--data", trained_abi.corpus, "--taps", "all")
        ran = trained_abi(*words, "--out", str(folder / f"{name}.h5"), "--json")
        assert ran.code == 0, ran.err
    ran = trained_abi(
        "analyze", "--bank", "pieces", "--activations", str(folder / "tiny-gpt2.h5"),
        "--against", str(folder / "tiny-llama.h5"), "--out", str(folder / "catalog.json"), "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    yield folder, ran.json
    assert trained_abi("rm", "pieces@tiny-gpt2", "--kind", "bank", "--yes").code == 0


def test_a_catalog_has_every_piece_head_and_layer(catalog):
    folder, found = catalog
    written = json.loads((folder / "catalog.json").read_text())
    assert {key: found[key] for key in written} == written
    assert {(row["layer"], row["head"]) for row in found["heads"]} == {
        (layer, head) for layer in (0, 1) for head in range(4)
    }
    assert set(found["taps"]) == {"0", "1", "2"}
    assert 1 < found["taps"]["2"]["effective_rank"] <= found["taps"]["2"]["dimensions"]
    assert found["pieces"]["ffn.0"]["down"]["dimensions"] == 32
    for row in found["heads"]:
        assert row["writes"]["effective_rank"] <= 8 + 1e-6  # a head writes along head_dim
        assert all(0 <= row["scores"][role] <= 1 for role in row["scores"])


def test_layers_are_compared_on_held_out_text_beside_a_shuffled_control(catalog):
    found = catalog[1]["similarity"]
    assert (found["against"], len(found["pairs"])) == ("tiny-llama", 9)
    embeddings = next(p for p in found["pairs"] if (p["ours"], p["theirs"]) == (0, 0))
    # Random embeddings of the same tokens: alike, as far as the same token stands there again.
    assert embeddings["cka"] > 0.15
    assert all(abs(pair["shuffled"]) < 0.1 for pair in found["pairs"])
    assert found["documents"] < 60


def test_the_tables_name_roles_ranks_and_layers(trained_abi, catalog):
    folder, _ = catalog
    words = ("analyze", "--bank", "pieces", "--activations", str(folder / "tiny-gpt2.h5"))
    ran = trained_abi(*words)
    assert ran.code == 0, ran.err
    assert "0 of 8 heads" in ran.out  # random ones
    assert "effective rank of maps" in ran.out


def test_what_does_not_belong_together_is_refused(trained_abi, catalog, tmp_path):
    folder, _ = catalog
    other = ("analyze", "--bank", "pieces", "--activations", str(folder / "tiny-llama.h5"))
    ran = trained_abi(*other, "--json")
    assert ran.code == 1
    assert "tiny-llama" in ran.json["what"]
    for words in (
        ("--bank", "nothing", "--activations", str(folder / "tiny-gpt2.h5")),
        ("--bank", "pieces", "--activations", str(tmp_path / "none.h5")),
        ("--bank", "pieces", "--activations", str(folder / "catalog.json")),
    ):
        ran = trained_abi("analyze", *words, "--json")
        assert ran.code == 1
        assert ran.json["error"]
