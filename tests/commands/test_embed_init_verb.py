"""`abi embed-init`: a backbone in the tokens of another, the method chosen on calibration text."""

from __future__ import annotations

import pytest


def test_a_backbone_takes_the_vocabulary_of_another(abi):
    words = ("embed-init", "--from", "tiny-llama", "--to", "tiny-gpt2", "--data", abi.corpus)
    ran = abi(*words, "--eval-tokens", "400", "--atoms", "8", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["name"] == "tiny-gpt2-in-tiny-llama-tokens"
    tried, method = ran.json["tried"], ran.json["method"]
    assert tried.keys() == {"omp", "bridge", "decompose", "mean"}
    assert method == min(tried, key=lambda name: tried[name])
    assert ran.json["text"].keys() == {"before", method, "mean"}
    assert all(found["nats_per_character"] > 0 for found in ran.json["text"].values())
    assert ran.json["token_map"] == "made now"
    shown = abi("show", ran.json["name"], "--verify", "--json").json
    assert (shown["kind"], shown["backbone"]["family"]) == ("backbone", "gpt2")
    found = abi("nib", "--anchor", ran.json["name"], "--candidate", ran.json["name"], "--data",
                abi.corpus, "--chunk-length", "40", "--skip", "4", "--json")  # fmt: skip
    assert found.json["top5"] == 1.0
    assert shown["results"]["tried"] == tried
    assert abi(*words).code == 1  # taken
    named = abi(*words, "--eval-tokens", "400", "--method", "decompose", "--name", "x", "--json")
    assert (named.json["method"], named.json["tried"]) == ("decompose", {})
    assert named.json["text"].keys() == {"before", "decompose", "mean"}
    seen = abi(*words, "--eval-tokens", "400", "--calibration-tokens", "300", "--name", "y").out
    assert "calibration" in seen
    assert ", the best" in seen
    refused = abi("embed-init", "--from", "tiny-llama", "--to", "tiny-t5", "--json", "--data",
                  abi.corpus, "--eval-tokens", "400")  # fmt: skip
    assert (refused.code, "encoder" in refused.json["what"]) == (1, True)


def test_the_method_is_chosen_on_calibration_text_alone(abi):
    from registry.store import Registry
    from transplant.backbones.load import load_backbone
    from transplant.surgery.embeddings.choose import choose_vocabulary
    from transplant.surgery.embeddings.config import EmbedConfig
    from transplant.surgery.embeddings.vocabulary import spelled_in
    from transplant.text.documents import read_documents
    from transplant.text.splits import split_documents

    words = ("embed-init", "--from", "tiny-llama", "--to", "tiny-gpt2", "--data", abi.corpus)
    said = abi(*words, "--eval-tokens", "400", "--atoms", "8", "--json").json
    library, splits = Registry.open(abi.root), split_documents(read_documents(abi.corpus))
    donor, target = (
        load_backbone(name, path=library.backbone_path(name))
        for name in ("tiny-llama", "tiny-gpt2")
    )

    def chosen_on(side):
        config, spelled = EmbedConfig(atoms=8), spelled_in(target, donor)
        return choose_vocabulary("it", target, donor, spelled, config, side)

    assert chosen_on(splits.calibration).tried == pytest.approx(said["tried"], rel=1e-6)
    assert chosen_on(splits.eval).tried != pytest.approx(said["tried"], rel=1e-6)
