from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from registry import HostedName, backbone_key, check_name, parse_hosted
from transplant.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python@ref-gpt2", HostedName("python", "ref-gpt2")),
        ("python@ref-gpt2/d128", HostedName("python", "ref-gpt2", 128)),
        ("ref-gpt2", HostedName(None, "ref-gpt2")),
        ("ref-gpt2/d64", HostedName(None, "ref-gpt2", 64)),
        ("python@org/model/d128", HostedName("python", "org/model", 128)),
        ("python@./some/dir", HostedName("python", "./some/dir")),
        ("python@./runs/d128/", HostedName("python", "./runs/d128/")),
        ("./odd@dir/model", HostedName(None, "./odd@dir/model")),
        ("../x@ref", HostedName(None, "../x@ref")),
        ("python-from-a@/abs/dir/d0", HostedName("python-from-a", "/abs/dir", 0)),
    ],
)
def test_a_hosted_name_parses_and_prints_back(text: str, expected: HostedName) -> None:
    assert parse_hosted(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize("name", ["-dash", "ä ö", "_run", "a, b"])
def test_a_folder_whose_name_is_no_name_is_found_with_a_point_before_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as nothing_there:
        backbone_key(name)
    assert "./" not in str(nothing_there.value)  # control
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=re.escape(f"./{name}, which is that folder")):
        backbone_key(name)
    assert backbone_key(f"./{name}")


@pytest.mark.parametrize(
    "text", ["", "@ref", "python@", "/d128", "a/b@ref", "py thon@ref", "python@a@b"]
)
def test_a_hosted_name_with_an_unusable_part_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_hosted(text)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "-a", ".a", "a\n", "é"])
def test_a_name_that_could_leave_the_root_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="name"):
        check_name(name)


def test_a_name_too_long_for_a_folder_is_refused() -> None:
    assert check_name("a" * 128)
    with pytest.raises(InputError):
        check_name("a" * 129)


def test_keys_keep_registry_names_and_flatten_hub_ids() -> None:
    assert backbone_key("ref-gpt2") == "ref-gpt2"
    assert backbone_key("org/model") == "org--model"
    for unusable in ("org/.hidden", "org/..", "a b", ""):
        with pytest.raises(InputError):
            backbone_key(unusable)


def test_a_folder_has_one_key_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my model").mkdir()
    monkeypatch.chdir(tmp_path)
    key = backbone_key(str(tmp_path / "my model"))
    assert re.fullmatch(r"my-model-[0-9a-f]{8}", key)
    assert backbone_key("./my model") == key == backbone_key("my model/")
    assert backbone_key("./other") != key


def test_one_slash_is_a_hub_id_unless_that_folder_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert backbone_key("org/model") == "org--model"
    (tmp_path / "org" / "model").mkdir(parents=True)
    assert backbone_key("org/model") == backbone_key("./org/model") != "org--model"


@pytest.mark.parametrize("folder", ["..", "/", "~", "./../..", "/tmp/..", "./.hidden", "./ü"])
def test_no_folder_gives_a_key_that_leaves_the_root(folder: str) -> None:
    key = check_name(backbone_key(folder))
    assert os.path.basename(key) == key
