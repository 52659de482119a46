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
        (("extract", "--backbone", "tiny-gpt2", "--name", "x", "--layers", "1-0"), "--layers"),
        (("extract", "--backbone", "tiny-gpt2", "--name", "x", "--components", ","), "nothing"),
        (("inspect", "nowhere"), "no bank nowhere"),
        (("inject", "--from", "x/ffn.1", "--to", "nowhere", "--layer", "0"), "--from"),
        (("inject", "--from", "x:ffn.1", "--to", "nowhere", "--layer", "0"), "no bank x"),
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


def test_an_injection_is_hosted_judged_and_gone_again(trained_abi, bank):
    import torch

    import transplant
    from registry.store import Registry

    library = Registry.open(trained_abi.root)
    raw = transplant.load("tiny-gpt2", library=library)
    ids = raw.tokenizer("The ba cor with the fi", return_tensors="pt").input_ids
    before = raw(input_ids=ids).logits
    words = ("inject", "--from", "pieces:heads.1", "--to", "tiny-gpt2", "--layer", "0", "--start",
             "fit", "--data", trained_abi.corpus, "--excerpts", "40", "--json")  # fmt: skip
    ran = trained_abi(*words, "--name", "shut")
    assert ran.code == 0, ran.err
    assert ran.json["name"] == "shut@tiny-gpt2"
    assert ran.json["bank_sha256"] == bank["sha256"]
    assert ran.json["inward"]["pairs"] > 100
    assert ran.json["reproduction"]["mse"] < ran.json["reproduction"]["baseline"]
    assert trained_abi(*words, "--name", "open", "--open", "1.5").code == 0
    shut, opened = (
        transplant.load(f"{name}@tiny-gpt2", library=library) for name in ("shut", "open")
    )
    assert torch.equal(shut(input_ids=ids).logits, before)
    changed = opened(input_ids=ids).logits
    assert not torch.allclose(changed, before, atol=1e-3)
    again = transplant.load("open@tiny-gpt2", library=library)
    assert torch.equal(again(input_ids=ids).logits, changed)
    assert opened.generate(ids, max_new_tokens=3).shape[1] == ids.shape[1] + 3
    nib = ("nib", "--anchor", "tiny-gpt2", "--data", trained_abi.corpus, "--chunk-length", "40",
           "--skip", "4", "--json")  # fmt: skip
    same, other = (
        trained_abi(*nib, "--candidate", f"{n}@tiny-gpt2").json for n in ("shut", "open")
    )
    assert (same["top5"], same["js"]) == (1.0, pytest.approx(0.0, abs=1e-6))
    assert other["js"] > 1e-4
    assert trained_abi("train", "--backbone", "open@tiny-gpt2", "--domain", "x").code == 1
    listed = trained_abi.rows("--kind", "injection")
    assert {row["name"] for row in listed} == {"shut", "open"}
    for name in ("shut", "open"):
        assert trained_abi("rm", f"{name}@tiny-gpt2", "--yes").code == 0
    assert torch.equal(transplant.load("tiny-gpt2", library=library)(input_ids=ids).logits, before)


def test_an_injection_whose_bank_has_changed_is_refused(abi):
    import transplant
    from registry.store import Registry
    from transplant.errors import CorruptError, NotFoundError

    extract = ("extract", "--backbone", "tiny-llama", "--name", "parts", "--components", "ffn")
    assert abi(*extract).code == 0
    words = ("inject", "--to", "tiny-gpt2", "--layer", "1", "--data", abi.corpus)
    ran = abi(*words, "--from", "parts:ffn.0", "--json")
    assert (ran.code, ran.json["start"]) == (0, "identity"), ran.err  # widths agree
    library = Registry.open(abi.root)
    assert not transplant.load("probe@tiny-gpt2", library=library).is_raw
    assert abi(*extract, "--layers", "0", "--replace").code == 0
    with pytest.raises(CorruptError, match="has changed since"):
        transplant.load("probe@tiny-gpt2", library=library)
    with pytest.raises(NotFoundError, match="no module nobody"):
        transplant.load("nobody@tiny-gpt2", library=library)
    for more, said in (
        (("--from", "parts", "--name", "x"), "--from"),
        (("--from", "parts:heads.0", "--name", "x"), "holds no heads.0"),
        (("--from", "parts:ffn.0", "--name", "x", "--gate", "wooden"), "--gate"),
        (("--from", "parts:ffn.0"), "already in the registry"),
    ):
        ran = abi(*words, *more, "--json")
        assert ran.code == 1
        assert said in ran.json["what"]


@pytest.mark.usefixtures("bank")
def test_bridges_are_trained_on_captured_inputs_and_taken_up_by_inject(trained_abi, tmp_path):
    import torch

    import transplant
    from registry.store import Registry

    path = tmp_path / "acts.h5"
    capture = ("capture", "--backbone", "tiny-gpt2", "--data", trained_abi.corpus, "--window", "64")
    taps = "block.1.mlp.in,block.1.mlp"
    assert trained_abi(*capture, "--taps", taps, "--out", str(path)).code == 0
    words = ("--from", "pieces:ffn.0", "--to", "tiny-gpt2", "--layer", "1")
    train = ("bridge-train", *words, "--steps", "100", "--batch", "4", "--learning-rate", "0.01",
             "--excerpts", "20", "--json")  # fmt: skip
    ran = trained_abi(
        *train, "--activations", str(path), "--mixture", "2", "--gate", "vector", "--lm-steps",
        "20", "--lm-tokens", "3000", "--eval-tokens", "1000", "--name", "two",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    matched, text = ran.json["matched"], ran.json["text"]
    assert matched["after"]["mse"] < matched["before"]["mse"]
    assert matched["after"]["mse"] < matched["mean_prediction_mse"]
    assert sum(matched["shares"]) == pytest.approx(1.0, abs=1e-4)
    assert text["ppl"].keys() == {"raw", "injected"}
    injected = trained_abi(
        "inject", *words, "--bridge", "two", "--name", "probe", "--data", trained_abi.corpus,
        "--json",
    )  # fmt: skip
    assert injected.code == 0, injected.err
    assert injected.json["gate"]["kind"] == "vector"
    library = Registry.open(trained_abi.root)
    model = transplant.load("probe@tiny-gpt2", library=library)
    stored = library.read(library.find("bridge", "two", "tiny-gpt2", 0))
    for name, tensor in model.injections[0].graft.own_tensors().items():
        assert torch.equal(tensor, stored[name])
    for more, said in (
        (("--layer", "0"), "for another injection"),
        (("--from", "pieces:ffn.1"), "for another injection"),
        (("--bridge", "three"), "no bridge three"),
    ):
        other = trained_abi(
            "inject", *words, "--bridge", "two", "--name", "x", "--data", trained_abi.corpus,
            *more, "--json",
        )  # fmt: skip
        assert other.code == 1
        assert said in other.json["what"]
    lacking = trained_abi(
        "bridge-train", "--from", "pieces:ffn.0", "--to", "tiny-gpt2", "--layer", "0",
        "--activations", str(path), "--name", "x", "--json",
    )  # fmt: skip
    assert lacking.code == 1
    assert "lacks block.0.mlp" in lacking.json["what"]
    assert "abi capture" in lacking.json["hint"]
    trained_abi("rm", "probe@tiny-gpt2", "--yes")


@pytest.mark.usefixtures("bank")
def test_layers_files_and_tables_are_aligned_and_inject_takes_them_up(trained_abi, tmp_path):
    import torch

    from registry.store import Registry

    align = ("bridge-align", "--data", trained_abi.corpus, "--excerpts", "60", "--json")
    taps = ("block.1.mlp.in", "block.0.mlp.in")
    names = ("tiny-gpt2", "tiny-llama")
    for backbone, tap in zip(names, taps, strict=True):
        out = str(tmp_path / f"{backbone}.h5")
        words = ("--backbone", backbone, "--data", trained_abi.corpus, "--window", "64")
        ran = trained_abi("capture", *words, "--taps", tap, "--out", out)
        assert ran.code == 0, ran.err
    files = [f"{tmp_path / name}.h5:{tap}" for name, tap in zip(names, taps, strict=True)]
    layers = [f"{name}:{tap}" for name, tap in zip(names, taps, strict=True)]
    for kind, sides, method in (
        ("files", files, "ridge"), ("layers", layers, "cca"), ("rotated", files, "rotation"),
        ("tables", [f"{name}:embeddings" for name in names], "procrustes"),
    ):  # fmt: skip
        ran = trained_abi(*align, "--between", *sides, "--method", method, "--name", kind)
        assert ran.code == 0, ran.err
        said = ran.json
        assert said["name"] == f"{kind}@tiny-gpt2"
        assert said["mse_after"] < said["mse_before"]
        assert min(said["pairs"], said["held_out_pairs"]) > 10
    library = Registry.open(trained_abi.root)
    stored = library.read(library.find("bridge", "files", "tiny-gpt2", 0))
    assert stored["weight"].shape == (32, 32)
    inject = ("inject", "--from", "pieces:ffn.0", "--to", "tiny-gpt2", "--layer", "1", "--data",
              trained_abi.corpus, "--excerpts", "20", "--json")  # fmt: skip
    ran = trained_abi(*inject, "--align", "files", "--name", "aligned")
    assert ran.code == 0, ran.err
    own = library.read(library.find("injection", "aligned", "tiny-gpt2", 0))
    assert torch.equal(own["bridges.inward"][0], stored["weight"])
    wrong = trained_abi(*inject, "--align", "tables", "--name", "x")
    assert (wrong.code, "between other layers" in wrong.json["what"]) == (1, True)
    for sides in (("tiny-gpt2", "tiny-llama:1"), (files[0], layers[1])):
        assert trained_abi(*align, "--between", *sides, "--name", "x").code == 1
    trained_abi("rm", "aligned@tiny-gpt2", "--yes")
