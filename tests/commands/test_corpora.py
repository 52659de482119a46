"""Reading of corpora by the verbs: bad files by name, and no more of a stream than needed."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from pathlib import Path

import datasets
import pytest

from registry.store import Registry
from tests.commands.conftest import TINY, Abi
from tests.conftest import write_document
from transplant.errors import InputError
from transplant.text import documents
from transplant.workflows import corpus

FEW = ("--steps", "2", "--window", "64", "--batch", "2", "--tokens", "4000", "--d-abi", "16")
REACH = 200_000


@pytest.fixture
def spoiled(corpus, tmp_path) -> Path:
    """The corpus, with a file that is not understood and one that is not text."""
    folder = Path(shutil.copytree(corpus, tmp_path / "spoiled"))
    (folder / "report.pdf").write_bytes(b"%PDF-1.7 and more")
    (folder / "table.CSV").write_text("id,label\n1,2\n")
    return folder


def test_a_module_learns_from_several_sources_and_its_move_reads_them_again(abi, tmp_path):
    both = []
    for name, first in (("a", 5000), ("b", 6000)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(first, first + 60):
            (folder / f"{number}.txt").write_text(write_document(number))
        both.append(str(folder))
    source = ",".join(both)
    words = ("--domain", "tales", "--data", source, *TINY, "--window-choice", "any", "--json")
    for backbone in ("tiny-gpt2", "tiny-llama"):
        ran = abi("train", "--backbone", backbone, *words)
        assert ran.code == 0, ran.err
    made = Registry.open(abi.root).find("module", "tales", "tiny-gpt2").manifest.made
    assert (made["corpus"], made["recipe"]["window_choice"]) == (source, "any")
    words = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--data", both[0])
    moved = abi("transfer", *words, "--excerpts", "40", "--eval-tokens", "2000", "--json")
    assert moved.code == 0, moved.err
    assert moved.json["split"] == ran.json["split"] == made["split"]
    refused = abi("train", "--backbone", "tiny-gpt2", "--domain", "x",
                  "--window-choice", "last", "--json")  # fmt: skip
    assert refused.code == 1
    assert refused.json["expected"] == "one of first, any"
    assert "--window-choice" in refused.json["what"]


def test_a_bad_file_is_named_with_how_to_leave_it_out(abi, spoiled):
    words = ("train", "--backbone", "tiny-gpt2", "--domain", "tales", "--data", str(spoiled), *TINY)
    ran = abi(*words, "--json")
    assert ran.code == 1
    assert ran.json["error"] == "CorpusError"
    assert "report.pdf" in ran.json["what"]
    assert ran.json["hint"] == "--skip-bad leaves it out"
    assert abi("show", "tales@tiny-gpt2", "--json").code == 1
    ran = abi(*words, "--skip-bad", "--json")
    assert ran.code == 0, ran.err
    for name in ("report.pdf", "table.CSV"):
        assert name in ran.err
    made = Registry.open(abi.root).find("module", "tales", "tiny-gpt2").manifest.made
    assert made["reading"][str(spoiled)]["skipped"] == 2
    assert "report.pdf" in made["reading"][str(spoiled)]["first_skipped"][0]
    plain = abi(*(abi.corpus if word == str(spoiled) else word for word in words),
                "--name", "plain", "--json")  # fmt: skip
    assert plain.json["split"] == ran.json["split"]
    made = Registry.open(abi.root).find("module", "plain", "tiny-gpt2").manifest.made
    assert "reading" not in made


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--backbone", "tiny-gpt2", "--domain", "python", "--data", ""),
        ("nib", "--anchor", "tiny-gpt2", "--candidate", "tales@tiny-gpt2", "--data", ""),
        ("transfer", "--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--data", "python",
         "--domain-data", " "),
        ("capture", "--backbone", "tiny-gpt2", "--data", "", "--out", "never.h5"),
    ],
)  # fmt: skip
def test_an_empty_name_of_a_corpus_is_no_other_corpus(trained_abi, words):
    ran = trained_abi(*words, "--json")
    assert ran.code == 1, ran.out
    assert "no such corpus" in ran.json["what"]


@pytest.fixture
def rows_read(monkeypatch):
    """A data set without end in place of any other; how many rows of it were read."""
    read: list[int] = []

    def load_dataset(*_, **__):
        draw = random.Random(0)
        for number in itertools.count():
            read.append(number)
            assert number < 10_000, "read without end"
            yield {"text": f"{number} {write_document(draw.randrange(10**9))}"}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr("transplant.text.limits.STREAM_CHARS", REACH)
    monkeypatch.setattr("transplant.text.limits.CHARS_PER_TOKEN", 1)
    corpus._SPLIT.clear()
    yield read
    corpus._SPLIT.clear()


def test_every_verb_reads_an_endless_data_set_to_its_bound(abi, tmp_path, rows_read):
    train = ("train", "--backbone", "tiny-gpt2", "--domain", "tales", "--data", "endless", *FEW)
    module, file = "tales@tiny-gpt2", str(tmp_path / "acts.h5")
    for words in (
        (*train, "--eval-tokens", "24000"),  # more than the least that is read
        ("nib", "--anchor", "tiny-gpt2", "--candidate", module, "--chunks", "2",
         "--chunk-length", "64"),
        ("transfer", "--module", module, "--to", "tiny-llama", "--data", "endless", "--excerpts",
         "40", "--eval-tokens", "400"),
        ("capture", "--backbone", "tiny-gpt2", "--data", "endless", "--window", "64",
         "--max-tokens", "2000", "--out", file),
        ("capture", "--verify", file),
        ("invariance", "--module", module, "--update-data", "endless-other", "--steps", "2",
         "--eval-tokens", "400"),
    ):  # fmt: skip
        rows_read.clear()
        ran = abi(*words, "--json")
        assert ran.code in (0, 3), (words[0], ran.out, ran.err)
        assert "has changed" not in ran.err, words[0]
        assert "is read no further than budgets need" in ran.err or "--verify" in words
    made = Registry.open(abi.root).find("module", "tales", "tiny-gpt2").manifest.made
    assert made["reading"] == {"endless": {"stream_chars": 2 * REACH, "columns": ["text"]}}
    native = Registry.open(abi.root).find("module", "tales", "tiny-llama").manifest.made
    assert native["split"] == made["split"]  # trained on the way, on as much of the stream


@pytest.fixture
def characters(monkeypatch, rows_read):  # noqa: ARG001  the data set is without end
    """How many characters of the endless data set each reading has taken."""
    taken: list[int] = []
    take = documents._take

    def counted(*given):
        rows, stopped = take(*given)
        if stopped:
            taken.append(sum(len(row.text) for row in rows))
            if taken[0] > 3 * REACH:
                raise InputError("far enough")
        return rows, stopped

    monkeypatch.setattr(documents, "_take", counted)
    return taken


@pytest.fixture(scope="module")
def several(trained_abi, tmp_path_factory):
    """A registry with two modules on a backbone, and a bank."""
    root = tmp_path_factory.mktemp("several") / "registry"
    shutil.copytree(trained_abi.root, root)
    abi = Abi(root, trained_abi.corpus)
    words = ("train", "--backbone", "tiny-gpt2", "--domain", "fables", "--data", abi.corpus, *FEW)
    assert abi(*words).code == 0
    assert abi("extract", "--backbone", "tiny-gpt2", "--name", "pieces").code == 0
    return abi


MODULE, LARGE = "tales@tiny-gpt2", ("--eval-tokens", "70000")
BUDGETS = {
    "gate": (
        ("--module", MODULE, "--general", "endless", "--tokens", "600"),
        ("--eval-tokens", "400"), (*LARGE, "--replace"),
    ),
    "bridge-align": (
        ("--between", "tiny-gpt2:1", "tiny-llama:1", "--data", "endless", "--method", "rotation"),
        ("--excerpts", "30"), ("--excerpts", "900", "--name", "read-far"),
    ),
    "embed-init": (
        ("--from", "tiny-llama", "--to", "tiny-gpt2", "--data", "endless", "--method", "mean"),
        ("--eval-tokens", "400", "--name", "small"), (*LARGE, "--name", "large"),
    ),
    "inject": (
        ("--from", "pieces:ffn.0", "--to", "tiny-gpt2", "--layer", "0", "--data", "endless"),
        ("--excerpts", "20"), ("--excerpts", "1500", "--name", "read-far"),
    ),
    "advise": (
        ("--from", "tiny-gpt2", "--to", "tiny-llama", "--data", "endless"),
        ("--excerpts", "10", "--impact-tokens", "64"), ("--impact-tokens", "70000"),
    ),
    "fuse": (
        (MODULE, "fables@tiny-gpt2", "--data", "endless", "--steps", "1", "--window", "64",
         "--no-controls", "--combiner", "gate", "--tokens", "600"),
        ("--eval-tokens", "400"), (*LARGE, "--name", "read-far"),
    ),
    "succession": (
        ("--module", MODULE, "--update-data", "endless", "--general", "endless-other", "--steps",
         "1", "--rounds", "1"),
        None, LARGE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("verb", BUDGETS)
def test_a_stream_is_read_as_far_as_a_verbs_budgets_need(several, characters, verb):
    words, small, large = BUDGETS[verb]
    if small is not None:
        ran = several(verb, *words, *small, "--json")
        assert ran.code == 0, (ran.out, ran.err)
        assert "is read no further than budgets need" in ran.err
        assert max(characters) <= 2.1 * REACH
        characters.clear()
        corpus._SPLIT.clear()
    ran = several(verb, *words, *large, "--json")
    assert ran.json["what"] == "far enough"
    assert characters[-1] == pytest.approx(4 * REACH, rel=0.02)


def test_chats_are_rendered_by_the_model_that_is_loaded_and_the_column_is_recorded(abi, tmp_path):
    rows = [{"messages": [{"role": "user", "content": write_document(n)}]} for n in range(60)]
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("train", "--backbone", "tiny-gpt2", "--domain", "tales", "--data", str(path), *FEW)
    ran = abi(*words, "--json")
    assert ran.code == 1
    assert "chat template" in ran.json["expected"]
    assert "--text-column" in ran.json["hint"]
    (config,) = abi.root.glob("tiny-gpt2/**/tokenizer_config.json")
    facts = json.loads(config.read_text())
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    copy = shutil.copytree(config.parent, tmp_path / "chatty")
    (copy / config.name).write_text(json.dumps(facts | {"chat_template": template}))
    words = ("train", "--backbone", str(copy), "--domain", "tales", "--data", str(path), *FEW)
    ran = abi(*words, "--json")
    assert ran.code == 0, ran.err
    entry = Registry.open(abi.root).find("module", "tales", str(copy))
    reading = entry.manifest.made["reading"][str(path)]
    assert reading["columns"] == ["messages"]
    assert reading["template"]["of"] == str(copy)


def test_what_was_read_from_a_named_column_is_read_from_it_again(abi, tmp_path):
    rows = [{"text": write_document(n), "body": write_document(1000 + n)} for n in range(60)]
    path, file = tmp_path / "rows.jsonl", str(tmp_path / "acts.h5")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("train", "--backbone", "tiny-gpt2", "--domain", "tales", "--data", str(path), *FEW)
    trained = abi(*words, "--text-column", "body", "--json").json
    held_out = ("perplexity", "tales@tiny-gpt2", "--json")
    assert abi(*held_out).json["split"] == trained["split"]
    for asked in (("--data", str(path)), ("--text-column", "text")):
        assert abi(*held_out, *asked).json["split"] != trained["split"]  # the control
    capture = ("capture", "--backbone", "tiny-gpt2", "--data", str(path), "--out", file)
    assert abi(*capture, "--max-tokens", "300", "--text-column", "body").code == 0
    ran = abi("capture", "--verify", file, "--json")
    assert ran.json["identical"], ran.err
    again = abi(*words, "--name", "again", "--json").json
    assert again["split"] != trained["split"]  # nothing is kept for another run
