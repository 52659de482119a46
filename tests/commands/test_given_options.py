"""Options as they are typed, where each changes what a verb computes, beside a run without it."""

from __future__ import annotations

import h5py
import pytest

from tests.commands.test_bad_input import assert_refused

WRITE = ("generate", "tales@tiny-gpt2", "--native", "none", "--prompt", "The ba",
         "--max-new-tokens", "24", "--json")  # fmt: skip


def text_of(abi, *more):
    (texts,) = abi(*WRITE, *more).json["texts"]
    return next(one["text"] for role, one in texts.items() if role not in ("prompt", "raw"))


def test_a_temperature_draws_by_the_seed_and_none_writes_the_likeliest(trained_abi):
    plain = text_of(trained_abi)
    assert text_of(trained_abi, "--seed", "1") == plain
    drawn = [text_of(trained_abi, "--temperature", "2", "--seed", seed) for seed in ("1", "1", "2")]
    assert drawn[0] == drawn[1] != drawn[2]
    assert plain not in drawn
    for one in (("--top-k", "1"), ("--top-p", "0.000001")):  # nothing is left to draw from
        assert text_of(trained_abi, "--temperature", "2", *one) == plain
    assert trained_abi(*WRITE, "--temperature", "0.7").json["settings"]["temperature"] == 0.7


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--temperature", "-1"), "--temperature"),
        (("--temperature", "1", "--top-p", "1.5"), "--top-p"),
        (("--chat",), "template"),
    ],
)
def test_what_cannot_be_drawn_is_refused(trained_abi, words, said):
    assert_refused(trained_abi(*WRITE, *words), said)


def test_shrinkage_pulls_a_spectrum_together(trained_abi):
    words = ("basis", "fit", "--backbone", "tiny-llama", "--data", trained_abi.corpus,
             "--tokens", "3k", "--window", "64", "--max-rank", "16", "--json")  # fmt: skip
    found = {}
    for name, share in (("straight", "0"), ("shrunk", "0.9")):
        ran = trained_abi(*words, "--name", name, "--shrinkage", share)
        assert ran.code == 0, ran.err
        found[name] = ran.json["types"]
    assert found["straight"] != found["shrunk"]
    assert_refused(trained_abi(*words, "--name", "x", "--shrinkage", "2"), "--shrinkage")


def test_two_teachers_move_what_both_have_learned(abi):
    for backbone in ("tiny-gpt2", "tiny-t5"):
        assert abi.train(backbone).code == 0
    words = ("transfer", "--to", "tiny-llama", "--domain", "tales", "--domain-data", abi.corpus,
             "--pair-data", abi.corpus, "--excerpts", "40", "--eval-tokens", "800", "--native",
             "none", "--json")  # fmt: skip
    names = ["tales@tiny-gpt2", "tales@tiny-t5"]
    ran = abi(*words, "--teachers", ", ".join(names), "--name", "both")
    assert ran.code == 0, ran.err
    assert ran.json["made"]["donor"]["teachers"] == names
    assert ran.json["ppl"]["candidate"] < ran.json["ppl"]["raw"]
    assert abi("show", "both@tiny-llama", "--json").json["kind"] == ran.json["stored"]["kind"]
    assert_refused(abi(*words, "--teachers", names[0], "--name", "one"), "--teachers")


def test_states_are_stored_in_the_type_that_is_asked_for(trained_abi, tmp_path):
    words = ("capture", "--backbone", "tiny-llama", "--data", trained_abi.corpus, "--window", "64",
             "--max-tokens", "200", "--json")  # fmt: skip
    width = {}
    for stored in ("fp32", "fp16", "bf16"):
        path = tmp_path / f"{stored}.h5"
        assert trained_abi(*words, "--out", str(path), "--stored", stored).code == 0
        with h5py.File(path) as file:
            width[stored] = file["taps/2"].dtype.itemsize
    assert width == {"fp32": 4, "fp16": 2, "bf16": 2}
    again = trained_abi(*words, "--out", str(tmp_path / "x.h5"), "--stored", "int8")
    assert again.code in (1, 2)


def test_a_text_is_read_as_far_as_characters_says(trained_abi):
    words = ("tokenize-align", "--from", "tiny-gpt2", "--to", "tiny-llama", "--data",
             trained_abi.corpus, "--json")  # fmt: skip
    few, all_of_it = (
        trained_abi(*words, "--name", name, "--characters", most).json["pairs"]
        for name, most in (("spelled-few", "1000"), ("spelled-more", "100000"))
    )
    assert few["paired"] < all_of_it["paired"]
    for name in ("spelled-few", "spelled-more"):
        assert trained_abi("rm", f"{name}@tiny-llama", "--yes").code == 0
