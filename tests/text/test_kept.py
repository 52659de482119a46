"""Built-in corpora are parsed once: what is kept is what would be read, or it is read again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import write_document
from transplant.progress import SilentReporter
from transplant.text import builtin, cache, dedup, kept
from transplant.text.documents import Corpus, read_corpus

MODULES = 12


class Notes(SilentReporter):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str, /) -> None:
        self.notes.append(text)


@pytest.fixture
def parsed(tmp_path, monkeypatch) -> list[str]:
    """Installed packages of one's own, an empty cache, and the modules that were parsed so far."""
    site = tmp_path / "site"
    site.mkdir()
    for number in range(MODULES):
        text = write_document(number % (MODULES - 1))  # the last is the first once more
        (site / f"m{number}.py").write_text(f'"""{text}\u2028 \x85 end"""\n')
    seen: list[str] = []
    parse = builtin.ast.parse

    def counted(source, *more, **options):
        if str(source).startswith('"""The '):  # other packages parse, too
            seen.append(source)
        return parse(source, *more, **options)

    monkeypatch.setattr(builtin, "_place", lambda _: (site, frozenset()))
    monkeypatch.setattr(builtin.ast, "parse", counted)
    monkeypatch.setattr(builtin, "YOUNG_S", 0.0)
    monkeypatch.setattr(kept, "LEAST_KEPT", 1)
    monkeypatch.setenv("ABI_CACHE", str(tmp_path / "cache"))
    return seen


def read(max_chars: int | None = None) -> tuple[Corpus, list[str]]:
    reporter = Notes()
    return read_corpus("prose", max_chars=max_chars, reporter=reporter), reporter.notes


def entries(tmp_path: Path, pattern: str = "*") -> list[Path]:
    return sorted((tmp_path / "cache" / "corpora").glob(pattern))


def test_a_second_reading_parses_nothing_and_gives_the_same(tmp_path, parsed):
    first, _ = read()
    assert len(parsed) == MODULES
    assert len(first.documents) == MODULES - 1  # without the near-duplicate
    for max_chars in (None, 2000, 10**9):
        parsed.clear()
        again, notes = read(max_chars)
        assert not parsed
        assert not notes
        os.environ["ABI_CACHE"] = str(tmp_path / "nothing" / str(max_chars))
        assert read(max_chars)[0] == again
        assert parsed
        os.environ["ABI_CACHE"] = str(tmp_path / "cache")


def test_a_shorter_reading_is_no_answer_to_a_longer_one(parsed):
    short = read(2000)[0]
    parsed.clear()
    assert read(1500)[0].documents == short.documents[:2]
    assert not parsed
    assert len(read()[0].documents) == MODULES - 1
    assert len(parsed) == MODULES
    parsed.clear()
    assert read(2000)[0] == short
    assert not parsed


@pytest.mark.parametrize("change", ["edited", "touched", "new", "gone", "code"])
def test_another_installation_is_read_anew(tmp_path, parsed, monkeypatch, change):
    before = read()[0].documents
    parsed.clear()
    module = tmp_path / "site" / "m3.py"
    if change == "edited":  # as long as before, and with the times of before
        stat = module.stat()
        module.write_text(module.read_text().replace("The", "Ths"))
        os.utime(module, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "touched":
        os.utime(module, (1, 1))
    elif change == "new":
        (tmp_path / "site" / "more.py").write_text(f'"""{write_document(99)}"""\n')
    elif change == "gone":
        module.unlink()
    else:
        monkeypatch.setattr(builtin, "code_version", lambda *_, **__: "another")
    after = read()[0].documents
    assert parsed
    assert (before == after) == (change in ("touched", "code"))


@pytest.mark.usefixtures("parsed")
def test_modules_that_change_while_they_are_read_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(builtin, "YOUNG_S", 3600.0)
    read()
    assert not entries(tmp_path, "prose*")
    monkeypatch.setattr(builtin, "YOUNG_S", 0.0)
    states = iter(["one", "other"])
    monkeypatch.setattr(kept, "installed_state", lambda _: next(states))
    read()
    assert not entries(tmp_path, "prose*")


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "cut":
        path.write_bytes(data[:-40])
    elif how == "flipped":
        path.write_bytes(data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "deep":
        path.write_bytes(b"[" * 100_000)
    elif how == "binary":
        path.write_bytes(b"\x80\x04\x95" * 100)
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "fifo":
        path.unlink()
        os.mkfifo(path)


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "deep", "binary", "folder", "fifo"])
def test_a_damaged_entry_is_noted_and_made_anew(tmp_path, parsed, how):
    before = read()[0]
    for path in entries(tmp_path):
        spoil(path, how)
    parsed.clear()
    after, notes = read()
    assert after == before
    assert len(parsed) == MODULES
    damaged = [note for note in notes if "is damaged" in note]
    assert len(damaged) == 2  # the documents, and which of them are alike
    if how != "folder":
        parsed.clear()
        assert read() == (before, [])
        assert not parsed


@pytest.mark.parametrize("rows", ['["x"]\n', '[1, "m"]\n', '{"a": 1}\n', "1\n", ""])
@pytest.mark.usefixtures("parsed")
def test_a_sealed_entry_of_another_shape_is_noted_and_made_anew(tmp_path, rows):
    before = read()[0]
    for path in entries(tmp_path):
        head, _, _ = path.read_text().partition("\n")
        facts = cache.parse(head) | {"sha256": cache.hashlib.sha256(rows.encode()).hexdigest()}
        path.write_text(cache.json.dumps(facts) + "\n" + rows)
    after, notes = read()
    assert after == before
    assert len(notes) == 2


@pytest.mark.usefixtures("parsed")
def test_a_folder_that_cannot_be_written_to_is_no_fault(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    before = read()[0]
    for place in (tmp_path / "file", Path("/proc/nothing")):
        monkeypatch.setenv("ABI_CACHE", str(place))
        after, notes = read()
        assert after == before
        assert all("cannot keep what was read" in note for note in notes)
    monkeypatch.setenv("ABI_CACHE", "~nobody-of-that-name/cache")
    assert read() == (before, [])


@pytest.mark.usefixtures("parsed")
def test_the_cache_has_a_bound_and_the_oldest_go_first(tmp_path, monkeypatch):
    folder = tmp_path / "cache" / "corpora"
    folder.mkdir(parents=True)
    for name, age in (("old.jsonl", 9), ("new.jsonl", 1), ("user.txt", 99), (".left.1.tmp", 99)):
        (folder / name).write_text("x" * 20_000)
        os.utime(folder / name, (10**9 - age, 10**9 - age))
    monkeypatch.setattr(cache, "CACHE_BYTES", 45_000)
    read()
    left = {path.name for path in folder.iterdir()}
    assert {"new.jsonl", "user.txt"} < left
    assert not left & {"old.jsonl", ".left.1.tmp"}
    assert any(name.startswith("prose-") for name in left)
    monkeypatch.setattr(cache, "CACHE_BYTES", 1000)  # less than the corpus itself
    (tmp_path / "site" / "more.py").write_text(f'"""{write_document(99)}"""\n')
    read()
    assert not entries(tmp_path, "prose*")


def test_the_folder_is_the_users_where_none_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("ABI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert cache.cache_folder() == tmp_path / "abi" / "corpora"
    monkeypatch.setattr(cache.platformdirs, "user_cache_dir", lambda _: "no/home")
    assert cache.cache_folder() is None


@pytest.mark.usefixtures("parsed")
def test_near_duplicates_are_found_once(tmp_path, monkeypatch):
    texts = [write_document(number % 5) for number in range(9)]
    digests = [cache.digest_of([text]) for text in texts]
    first = kept.distinct(texts, digests, print)
    assert first == dedup.drop_near_duplicates(texts) == [0, 1, 2, 3, 4]
    monkeypatch.setattr(kept, "drop_near_duplicates", None)
    assert kept.distinct(texts, digests, print) == first
    with pytest.raises(TypeError):  # other texts are compared
        kept.distinct(texts[1:], digests[1:], print)
    (path,) = entries(tmp_path, "twins*")
    assert texts[0] not in path.read_text()


READER = """
from transplant.text import builtin, kept
from transplant.text.documents import read_corpus
import sys
from pathlib import Path
builtin._place = lambda _: (Path(sys.argv[1]), frozenset())
builtin.YOUNG_S, kept.LEAST_KEPT = 0.0, 1
print([d.digest for d in read_corpus("prose").documents])
"""


@pytest.mark.usefixtures("parsed")
def test_runs_at_the_same_time_read_the_same(tmp_path):
    digests = [document.digest for document in read()[0].documents]
    for path in entries(tmp_path):
        path.unlink()
    command = [sys.executable, "-c", READER, str(tmp_path / "site")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {run.communicate()[0].strip() for run in runs} == {str(digests)}
    assert not entries(tmp_path, ".*")
