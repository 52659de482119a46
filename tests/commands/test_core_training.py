"""`abi train-core`: from text to the registry."""

from __future__ import annotations

from commands.fence import EXIT_INTERRUPTED
from tests.commands.conftest import Abi
from tests.commands.core_runs import (
    copy_of,
    files_in,
    hosted_in,
    shown,
    stop_at,
    train_core,
    train_inside,
)
from transplant.backbones.layercake.baseline import TOLERANCE
from transplant.backbones.layercake.sizes import SIZES, count_parameters


def test_train_core_stores_a_core_with_its_results(stored):
    abi, made = stored
    report, entry = made["2M"], shown(abi, "2M")
    assert entry["backbone"]["family"] == "layercake"
    assert entry["verified"]
    for key in ("parameters", "train_loss", "ppl", "train_seconds"):
        assert entry["results"][key] == report[key]
    assert report["parameters"] == count_parameters(SIZES["2M"], 320)
    assert (report["name"], report["kind"], report["tokens"]) == ("2M", "core", 3 * 2 * 32)
    assert 1 < report["ppl"] < 2 * 320
    assert entry["taps"] == [0, 1, 2, 3, 4, 5]
    made_as = entry["made"]
    assert made_as["recipe"]["data"] == abi.corpus
    assert (made_as["recipe"]["window"], made_as["recipe"]["seed"]) == (32, 0)
    assert made_as["split"] == report["split"]
    loaded = hosted_in(abi, "2M")
    assert loaded.backbone.context == 32
    assert len(loaded.tokenizer) == 320
    row = next(row for row in abi("cores", "--json").json["cores"] if row["name"] == "2M")
    assert row["in_registry"]


def test_a_core_may_take_the_tokenizer_of_another(stored):
    abi, made = stored
    ours, theirs = shown(abi, "2M"), shown(abi, "other")
    assert ours["backbone"]["tokenizer_sha256"] == theirs["backbone"]["tokenizer_sha256"]
    assert ours["sha256"] != theirs["sha256"]
    assert made["other"]["parameters"] == made["2M"]["parameters"]


def test_the_baseline_is_a_plain_transformer_as_large_and_of_the_same_recipe(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    ran = train_core(abi, "--baseline", "--tokenizer", "2M")
    assert ran.code == 0, ran.err
    assert (ran.json["name"], ran.json["kind"]) == ("2M-plain", "plain")
    core, plain = shown(abi, "2M"), shown(abi, "2M-plain")
    assert plain["backbone"]["family"] == "gpt_neox"
    assert plain["taps"] == [0, 1, 2, 3, 4]
    assert plain["results"]["ppl"] > 1
    counts = [entry["results"]["parameters"] for entry in (core, plain)]
    assert abs(counts[0] - counts[1]) <= TOLERANCE * counts[0]
    assert core["made"]["recipe"] == plain["made"]["recipe"]
    assert core["made"]["tokenizer"] == plain["made"]["tokenizer"]
    assert (core["made"]["plain"], plain["made"]["plain"]) == (False, True)
    refused = train_inside(abi, "2M-plain", "lite")  # it has no shared space to put a module into
    assert refused.code == 1
    assert "2M-plain is none" in refused.err


def test_a_wrong_size_and_a_taken_name_are_refused_and_nothing_is_written(stored):
    abi, _ = stored
    before = files_in(abi.root)
    wrong = abi("train-core", "--size", "3M", "--data", abi.corpus)
    assert wrong.code == 1
    assert "one of 2M, 5M" in wrong.err
    taken = train_core(abi)
    assert taken.code == 1
    assert taken.json["error"] == "ExistsError"
    assert "reading" not in taken.err  # before the work
    again = train_inside(abi, "2M", "full")
    assert again.code == 1
    assert "2M-tales is already" in again.err
    assert files_in(abi.root) == before


def test_ctrl_c_leaves_a_checkpoint_from_which_the_same_weights_come(stored, tmp_path, monkeypatch):
    abi, made = stored
    fresh = Abi(tmp_path / "registry", abi.corpus)
    monkeypatch.setattr("transplant.training.pretrain.SAVE_EVERY", 2)
    with monkeypatch.context() as patched:
        stop_at(patched, 2)
        assert "--resume continues" in train_core(fresh).err
        stop_at(patched, 1)
        early = train_core(fresh)
        assert "--resume" not in early.err  # what is there is of another run: it is gone
        anew = train_core(fresh, "--resume")
        assert anew.code == EXIT_INTERRUPTED
        assert "nothing to resume" in anew.err
        stop_at(patched, 2)
        stopped = train_core(fresh)
    assert stopped.code == EXIT_INTERRUPTED
    assert "--resume continues" in stopped.err
    checkpoint = fresh.root / ".runs" / "2M.core.safetensors"
    assert checkpoint.is_file()
    assert fresh("show", "2M").code == 1
    other = train_core(fresh, "--resume", "--learning-rate", "0.01")
    assert other.code == 1
    assert "recipe differs" in other.err
    resumed = train_core(fresh, "--resume")
    assert resumed.code == 0, resumed.err
    assert not checkpoint.exists()
    assert shown(fresh, "2M")["sha256"] == shown(abi, "2M")["sha256"]
    assert resumed.json["train_loss"] == made["2M"]["train_loss"]
    assert shown(fresh, "2M")["sha256"] != shown(abi, "other")["sha256"]


def test_a_core_reads_as_much_of_the_text_as_it_is_told(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    few = ("--name", "few", "--tokenizer", "2M", "--max-chars", "20000")
    ran = train_core(abi, *few, steps=1)
    assert ran.code == 0, ran.err
    whole, part = (shown(abi, name)["made"] for name in ("2M", "few"))
    assert part["recipe"]["max_chars"] == 20000
    assert part["split"] != whole["split"]
