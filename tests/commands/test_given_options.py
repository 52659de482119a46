"""Options as they are typed, where each changes what a verb computes, beside a run without it."""

from __future__ import annotations

import h5py
import pytest

from tests.commands.test_bad_input import assert_refused
from transplant.errors import InputError

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


MOVE = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--excerpts", "20", "--json")
FITTED = (("inside", "nothing"), ("longer", "product"), ("method", "procrustes"),
          ("excerpt_chars", 150), ("stride", 1), ("columns", 20))  # fmt: skip


def flag(name, value):
    return f"--{name.replace('_', '-')}", str(value)


@pytest.fixture(scope="module")
def calibrated(trained_abi):
    """A calibration with options more than its own: its report, and how it was made."""

    def run(*more):
        words = ("--pair-data", trained_abi.corpus, "--name", "tried", "--replace")
        ran = trained_abi("calibrate", *MOVE, *words, *more)
        assert ran.code == 0, ran.err
        shown = trained_abi("show", "tried@tiny-llama", "--json").json
        return ran.json["tried"], shown["made"]["config"]

    yield run, run()[0]
    assert trained_abi("rm", "tried@tiny-llama", "--yes").code == 0


@pytest.mark.parametrize(("name", "value"), FITTED)
def test_what_a_fit_is_told_changes_it(calibrated, name, value):
    run, plain = calibrated
    tried, config = run(*flag(name, value))
    assert config[name] == value
    assert tried != plain


def test_a_transfer_is_fitted_as_it_is_told(trained_abi):
    words = ("transfer", *MOVE, "--pair-data", trained_abi.corpus, "--native", "none",
             "--eval-tokens", "300", "--name", "told")  # fmt: skip
    told = [word for pair in FITTED for word in flag(*pair)]
    ran = trained_abi(*words, *told)
    assert ran.code == 0, ran.err
    config = ran.json["made"]["config"]
    assert {name: config[name] for name, _ in FITTED} == dict(FITTED)
    assert trained_abi("rm", "told@tiny-llama", "--yes").code == 0


def test_an_ablation_is_of_the_move_that_was_described(trained_abi, monkeypatch):
    from transplant.workflows.move import ablate

    moves = []

    def stop(move, *_):
        moves.append(move)
        raise InputError("enough")

    monkeypatch.setattr(ablate, "run_ablation", stop)
    paired = [pair for pair in FITTED if pair[0] not in ("inside", "longer")]
    told = [word for pair in paired for word in flag(*pair)]
    assert trained_abi("ablate", "controls", *MOVE, *told, "--domain-data", "a.txt").code == 1
    (move,) = moves
    assert {name: getattr(move.config, name) for name, _ in paired} == dict(paired)
    assert (move.domain_data, move.domain_source) == ("a.txt", "a.txt")


def test_an_update_moves_the_interface_where_it_is_told_to(trained_abi, monkeypatch):
    from transplant.workflows.update import succession

    configs = []

    def stop(study, *_):
        configs.append(study.config)
        raise InputError("enough")

    monkeypatch.setattr(succession, "succession_report", stop)
    words = ("succession", "--module", "tales@tiny-gpt2", "--stability", "0.5", "--json")
    for more in ((), ("--train-interface",), ("--freeze-interface",)):
        assert trained_abi(*words, *more).code == 1
    assert [one.train_interface for one in configs] == [False, True, False]
    assert {one.stability for one in configs} == {0.5}


def test_text_that_is_not_there_is_refused_before_a_native_is_trained(trained_abi):
    for what in ("controls", "ceiling", "shapes"):
        ran = trained_abi("ablate", what, *MOVE, "--pair-data", "/no/such/text")
        assert_refused(ran, "/no/such/text")
        assert "train" not in ran.err


def test_a_general_module_that_is_not_there_is_refused_before_a_native_is_trained(trained_abi):
    ran = trained_abi(
        "transfer", *MOVE, "--pair-data", trained_abi.corpus, "--general", "no@tiny-gpt2"
    )
    assert_refused(ran, "no@tiny-gpt2")
    assert "train" not in ran.err
