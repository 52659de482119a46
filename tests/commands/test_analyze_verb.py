"""abi analyze: a catalog of a donor, and the advice that reads it."""

from __future__ import annotations

import json

import pytest

from transplant.files.result_kinds import kind_of


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
    assert kind_of(written) == "catalog"
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


def test_roles_are_of_as_many_windows_as_are_asked_for(trained_abi, catalog):
    folder, found = catalog
    words = ("analyze", "--bank", "pieces", "--activations", str(folder / "tiny-gpt2.h5"))
    ran = trained_abi(*words, "--windows", "2", "--json")
    assert ran.code == 0, ran.err
    scores, fewer = ([row["scores"] for row in one["heads"]] for one in (found, ran.json))
    assert scores != fewer
    assert ran.json["pieces"] == found["pieces"]  # of weights alone


def test_a_report_shows_the_catalog(trained_abi, catalog, tmp_path):
    folder, found = catalog
    out = tmp_path / "report.md"
    ran = trained_abi("report", str(folder / "catalog.json"), "--out", str(out), "--json")
    assert ran.code == 0, ran.err
    section = out.read_text().split("## Parts of backbones")[1].split("## Commands")[0]
    assert "0 of 8 heads have a role" in section
    best = max(
        (p for p in found["similarity"]["pairs"] if p["theirs"] == 2), key=lambda p: p["cka"]
    )
    assert f"| 2 | {best['ours']} | {best['cka']:.2f} |" in section


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


def test_advice_takes_impact_from_a_trace_and_the_donor_from_a_catalog(
    trained_abi, catalog, tmp_path
):
    folder, found = catalog
    words = ("trace", "--model", "tiny-llama", "--data", trained_abi.corpus, "--documents", "4")
    ran = trained_abi(*words, "--window", "24", "--intervention", "zero", "--out", str(tmp_path))
    assert ran.code == 0, ran.err
    trace = json.loads((tmp_path / "trace.json").read_text())
    asked = (
        "advise", "--from", "tiny-gpt2", "--to", "tiny-llama", "--data", trained_abi.corpus,
        "--excerpts", "10", "--impact-tokens", "400", "--catalog", str(folder / "catalog.json"),
    )  # fmt: skip
    ran = trained_abi(*asked, "--trace", str(tmp_path / "trace.json"), "--json")
    assert ran.code == 0, ran.err
    said = ran.json
    assert "impact" not in said["seconds"]  # nothing was silenced again
    sure = {
        f"block.{row['layer']}.mlp": max(0.0, row["effect"]) * (row["interval"][0] > 0)
        for row in trace["targets"] if row["kind"] == "ffn"
    }  # fmt: skip
    measured = said["numbers"]["impact"]
    assert {name: measured[name] for name in sure} == pytest.approx(sure)
    assert set(measured) == {f"block.{n}.{part}" for n in (0, 1) for part in ("mlp", "attn")}
    if said["strategy"] == "inject + bridge-train":
        place = max(measured, key=measured.get)
        best = max(
            (p for p in found["similarity"]["pairs"]
             if p["theirs"] == int(place.split(".")[1]) and p["ours"] < 2),
            key=lambda pair: pair["cka"],
        )  # fmt: skip
        assert not any(step["command"].startswith("abi extract") for step in said["steps"])
        assert (
            f"pieces:{'ffn' if 'mlp' in place else 'heads'}.{best['ours']}"
            in said["steps"][-1]["command"]
        )
    other = trained_abi(*asked, "--trace", str(folder / "catalog.json"), "--json")
    assert other.code == 1
    assert "no trace" in other.json["what"]
    swapped = [{"tiny-gpt2": "tiny-llama", "tiny-llama": "tiny-gpt2"}.get(w, w) for w in asked]
    assert "other weights" in trained_abi(*swapped, "--json").json["what"]
