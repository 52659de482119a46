"""Bad input: one clear line, exit 1 or 2, nothing lost or half-written."""

from __future__ import annotations

import errno
import json

import pytest

from commands.fence import EXIT_INTERRUPTED
from registry.store import Registry
from transplant.training import checkpoint as checkpoint_file
from transplant.training import loop


def assert_refused(ran, *words):
    assert ran.code in (1, 2), ran.out
    assert "Traceback" not in ran.err
    report = json.loads(ran.out)
    assert "\n" not in report["what"]
    text = " ".join(str(value) for value in report.values())
    for word in words:
        assert word in text, text
    return report


def test_unknown_module_names_what_there_is(trained_abi):
    ran = trained_abi("transfer", "--module", "tale@tiny-gpt2", "--to", "tiny-llama", "--json")
    assert_refused(ran, "tale@tiny-gpt2", "tales@tiny-gpt2")


def test_a_raw_backbone_is_no_module(trained_abi):
    ran = trained_abi("transfer", "--module", "tiny-gpt2", "--to", "tiny-llama", "--json")
    assert_refused(ran, "tiny-gpt2", "module")


def test_backbone_folder_without_weights(trained_abi, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert_refused(trained_abi.train(str(tmp_path)), "weights", str(tmp_path))


def test_d_abi_mismatch(trained_abi):
    ran = trained_abi(
        "bridge-align", "--module", "tales@tiny-gpt2/d32", "--to", "tiny-llama", "--json"
    )
    assert_refused(ran, "d32", "d16")


def test_one_flipped_byte_in_the_weights(abi):
    assert abi.train("tiny-gpt2").code == 0
    entry = Registry.open(abi.root).find("module", "tales", "tiny-gpt2")
    raw = bytearray(entry.weights.read_bytes())
    raw[-5] ^= 1
    entry.weights.write_bytes(bytes(raw))
    ran = abi("nib", "--anchor", "tiny-gpt2", "--candidate", "tales@tiny-gpt2", "--json")
    assert_refused(ran, "sha256", "weights.safetensors")
    assert_refused(abi("show", "tales@tiny-gpt2", "--verify", "--json"), "sha256")


def test_a_manifest_from_the_future(abi):
    assert abi.train("tiny-gpt2").code == 0
    path = Registry.open(abi.root).find("module", "tales", "tiny-gpt2").path / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "schema_version": 99}))
    assert_refused(abi("show", "tales@tiny-gpt2", "--json"), "99", "upgrade")


def test_an_empty_corpus_and_a_missing_one(trained_abi, tmp_path):
    (tmp_path / "empty.txt").write_text(" \n")
    words = ("train", "--backbone", "tiny-gpt2", "--domain", "x", "--json", "--data")
    assert_refused(trained_abi(*words, str(tmp_path / "empty.txt")), "empty")
    assert_refused(trained_abi(*words, str(tmp_path / "nowhere.txt")), "nowhere.txt")


def test_a_text_file_of_binary_bytes(trained_abi, tmp_path):
    (tmp_path / "odd.txt").write_bytes(bytes(range(256)) * 20)
    words = ("train", "--backbone", "tiny-gpt2", "--domain", "x", "--json", "--data")
    assert_refused(trained_abi(*words, str(tmp_path / "odd.txt")), "not text", "UTF-8")


def modules_of(abi):
    """The modules that a test has made: not those that ship with abi."""
    rows = abi.rows("--kind", "module")
    return [row["name"] for row in rows if row["path"].startswith(str(abi.root))]


def test_a_full_disk_leaves_no_half_artifact(abi, monkeypatch):
    from transplant.files import safetensors as tensors

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tensors, "save", full)
    report = assert_refused(abi.train("tiny-gpt2"), "full", "free")
    assert report["error"] == "StorageError"
    assert not modules_of(abi)
    monkeypatch.undo()
    assert abi.train("tiny-gpt2", "--resume").code == 0  # the checkpoint was kept


def test_ctrl_c_in_training_then_resume_gives_the_same_module(abi, monkeypatch):
    whole = abi.train("tiny-gpt2", "--name", "whole").json
    plain = checkpoint_file.CheckpointFile.save

    def save_then_interrupt(self, checkpoint):
        plain(self, checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_file.CheckpointFile, "save", save_then_interrupt)
    monkeypatch.setattr(loop.TrainConfig, "evaluate_every", 7, raising=False)
    ran = abi.train("tiny-gpt2")
    assert ran.code == EXIT_INTERRUPTED
    assert "--resume" in ran.err
    assert modules_of(abi) == ["whole"]
    monkeypatch.undo()
    resumed = abi.train("tiny-gpt2", "--resume").json
    assert resumed["module_sha256"] == whole["module_sha256"]


def test_resume_starts_where_nothing_is_there_yet_and_says_so(abi):
    plain = abi.train("tiny-gpt2", "--name", "plain")
    assert "nothing to resume" not in plain.err  # control
    ran = abi.train("tiny-gpt2", "--name", "new", "--resume")
    assert (ran.code, "nothing to resume yet" in ran.err) == (0, True), ran.err
    assert ran.json["module_sha256"] == plain.json["module_sha256"]


@pytest.mark.parametrize("words", [("train",), ("transfer", "--module"), ("no-such-verb",)])
def test_wrong_usage_exits_2(trained_abi, words):
    assert trained_abi(*words).code == 2
