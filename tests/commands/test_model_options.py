"""--revision, --device-map, --max-memory and --offload-folder as they are typed."""

from __future__ import annotations

import pytest

from transplant.loading import hosted


@pytest.fixture
def loaded(trained_abi, monkeypatch):
    """Runs a verb that loads one backbone; what was asked of the loader stands in `asked`."""
    load, asked = hosted.load_backbone, []

    def record(name, **options):
        asked.append((name, options))
        return load(name, **options)

    monkeypatch.setattr(hosted, "load_backbone", record)

    def run(*words):
        asked.clear()
        ran = trained_abi(
            "nib", "--anchor", "tiny-llama", "--candidate", "tiny-llama", "--data",
            trained_abi.corpus, "--chunks", "1", "--chunk-length", "64", "--json", *words,
        )  # fmt: skip
        run.asked = [*asked]
        return ran

    return run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {"revision": None, "device_map": None, "max_memory": None, "offload_folder": None}),
        (("--revision", "main"), {"revision": "main"}),
        (("--revision", "v1", "--revision", "tiny-llama=v2"), {"revision": "v2"}),
        (("--device-map", "auto"), {"device_map": "auto"}),
        (("--device-map", "sequential"), {"device_map": "sequential"}),
        (("--device-map", ' {"": "disk"}'), {"device_map": {"": "disk"}}),
        (("--device-map", '{"model": "cpu"}'), {"device_map": {"model": "cpu"}}),
        (("--device-map", "auto", "--max-memory", "cpu=1TB"), {"max_memory": {"cpu": "1TB"}}),
        (("--device-map", "auto", "--max-memory", "cpu=120000"), {"max_memory": {"cpu": "120000"}}),
    ],
)
def test_what_is_typed_reaches_the_loader(loaded, words, expected):
    ran = loaded(*words)
    assert ran.code == 0, (ran.out, ran.err)
    assert loaded.asked
    for name, options in loaded.asked:
        assert name == "tiny-llama"
        assert {key: options[key] for key in expected} == expected
    useless = "tiny-llama is in a folder: a hub revision has no use for it"
    assert (useless in ran.err) == bool(expected.get("revision"))


def test_weights_on_the_disk_say_the_same(loaded, tmp_path):
    near = loaded()
    for words in (
        ("--device-map", '{"": "disk"}', "--offload-folder", str(tmp_path / "new" / "folder")),
        ("--device-map", "auto", "--max-memory", "cpu=120KB"),
    ):
        far = loaded(*words)
        assert far.code == 0, (far.out, far.err)
        assert {key: far.json[key] for key in ("top5", "js")} == {
            key: near.json[key] for key in ("top5", "js")
        }
    assert (tmp_path / "new" / "folder").is_dir()


WRONG = [
    (("--revision", ""), "--revision", "REVISION, or ID=REVISION"),
    (("--revision", "a="), "--revision", "found: a="),
    (("--revision", "=v1"), "--revision", "found: =v1"),
    (("--revision", "a", "--revision", "b"), "--revision", "once for each"),
    (("--revision", "x=a", "--revision", "x=b"), "--revision", "found: x=b"),
    (("--revision", "a/b=v1", "--revision", "tiny-llama=v2"), "--revision", "found: a/b=v1"),
    (("--revision", "v1", "--revision", "tiny=v2"), "--revision", "found: tiny=v2"),
    (("--revision", "llama=v2"), "--revision", "a backbone that is named"),
    (("--revision", "a=b=v2"), "--revision", "of a=b,"),  # the last = parts them
    (("--device-map", ""), "--device-map", "one of auto, balanced"),
    (("--device-map", "everywhere"), "--device-map", "found: everywhere"),
    (("--device-map", "[1]"), "--device-map", "or a device by module"),
    (("--device-map", "{}"), "--device-map", "a device by module"),
    (("--device-map", '{"model": '), "--device-map", "JSON, as"),
    (("--device-map", '{"": "cpu", "": "disk"}'), "--device-map", "appears twice"),
    (("--device-map", '{"": "nowhere"}'), "--device-map", "found: nowhere"),
    (("--device-map", '{"": 99}'), "--device-map", "found: 99"),
    (("--device-map", '{"": null}'), "--device-map", "accelerator that is here"),
    (("--device-map", '{"": [1]}'), "--device-map", "accelerator that is here"),
    (("--device-map", '{"nosuch": "cpu"}'), "--device-map", "no module of this llama"),
    (("--max-memory", "cpu=1GB"), "--max-memory", "a --device-map beside it"),
    (("--device-map", '{"": "cpu"}', "--max-memory", "cpu=1GB"), "--max-memory", "of auto"),
    (("--device-map", "auto", "--max-memory", "cpu"), "--max-memory", "DEVICE=AMOUNT"),
    (("--device-map", "auto", "--max-memory", "=1GB"), "--max-memory", "DEVICE=AMOUNT"),
    (("--device-map", "auto", "--max-memory", "cpu="), "--max-memory", "DEVICE=AMOUNT"),
    (("--device-map", "auto", "--max-memory", "cpu=much"), "--max-memory", "10GiB, 500MB"),
    (("--device-map", "auto", "--max-memory", "cpu=-1GB"), "--max-memory", "10GiB, 500MB"),
    (("--device-map", "auto", "--max-memory", "gpu=1GB"), "--max-memory", "found: gpu"),
    (("--device-map", "auto", "--max-memory", "99=1GB"), "--max-memory", "found: 99"),
    (
        ("--device-map", "auto", "--max-memory", "cpu=1GB", "--max-memory", "cpu=2GB"),
        "--max-memory", "each device once",
    ),
    (("--offload-folder", "there"), "--offload-folder", "a --device-map beside it"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "flag", "said"), WRONG)
def test_what_cannot_be_is_refused_by_its_flag(loaded, words, flag, said):
    ran = loaded(*words)
    assert ran.code == 1, ran.out
    error = ran.json
    assert flag in error["what"]
    assert said in f"{error['what']} {error['expected']} found: {error['found']}"
    assert "`" not in error["what"]


def test_a_folder_that_cannot_be_made_is_refused(loaded, tmp_path):
    (tmp_path / "file").write_text("x")
    ran = loaded("--device-map", "auto", "--offload-folder", str(tmp_path / "file"))
    assert (ran.code, ran.json["error"]) == (1, "StorageError")
    assert "--offload-folder" in ran.json["what"]
    assert (tmp_path / "file").read_text() == "x"


def test_a_verb_that_loads_no_backbone_has_none_of_them(trained_abi):
    for words in (("--revision", "main"), ("--device-map", "auto"), ("--max-memory", "cpu=1GB")):
        assert trained_abi("list", *words).code == 2
