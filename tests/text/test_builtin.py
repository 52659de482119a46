"""The corpora that are rebuilt from what is installed."""

import ast

import pytest

from transplant.text import builtin
from transplant.text.documents import read_documents

SAMPLE = '''"""Module."""
import os

@decorated
class A(Base):
    """Class,

    in several lines.
    """

    x = """kept: no docstring"""

    def method(self):
        r"""Raw."""
        return 1

    async def other(self):
        "Single quotes"
        """kept: a second string, which nobody reads"""
        return 2
'''
WITHOUT = '''import os

@decorated
class A(Base):

    x = """kept: no docstring"""

    def method(self):
        return 1

    async def other(self):
        """kept: a second string, which nobody reads"""
        return 2
'''


def docstrings_of(tree: ast.Module) -> list[str]:
    nodes = [node for node in ast.walk(tree) if isinstance(node, builtin.WITH_DOCSTRING)]
    return [text for node in nodes if (text := ast.get_docstring(node, clean=False))]


def test_only_docstrings_are_cut() -> None:
    assert builtin._without_docstrings(ast.parse(SAMPLE), SAMPLE) == WITHOUT


@pytest.mark.parametrize("page_break", ["\f", "# \x1c\x85\u2028"])
def test_lines_are_counted_as_the_parser_counts_them(page_break: str) -> None:
    source = f'x = 1\n{page_break}\nclass A:\n    """Doc."""\n    y = 2\n'
    kept = builtin._without_docstrings(ast.parse(source), source)
    assert kept == f"x = 1\n{page_break}\nclass A:\n    y = 2\n"


def test_python_is_code_without_docstrings() -> None:
    documents = read_documents("python", max_chars=300_000)
    parsed = 0
    for document in documents:
        try:
            tree = ast.parse(document.text)
        except SyntaxError:  # a body that was nothing but its docstring is now empty
            continue
        parsed += 1
        # What follows a docstring may be a string too, and stands where the docstring stood.
        assert len(docstrings_of(tree)) <= 1, document.source
    assert parsed >= 0.7 * len(documents)
    assert sum(document.text.count("def ") for document in documents) > 100


def test_prose_is_text_and_not_code() -> None:
    documents = read_documents("prose", max_chars=60_000)
    text = "\n".join(document.text for document in documents)
    assert min(len(document.text) for document in documents) >= builtin.MIN_DOCUMENT
    assert text.count(" the ") > 20 * text.count("\n    return ")


def test_a_smaller_corpus_is_the_head_of_a_larger_one() -> None:
    small = [document.text for document in read_documents("python", max_chars=40_000)]
    large = [document.text for document in read_documents("python", max_chars=120_000)]
    assert len(small) < len(large)
    assert small == large[: len(small)]


def test_what_a_program_wrote_from_a_template_is_no_python_document(tmp_path, monkeypatch) -> None:
    """Its siblings would stand on both sides of a split, and pass for knowledge of Python."""
    for folder in ("encodings", "json"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "table.py").write_text("x = 1\n" * 100)
    monkeypatch.setattr(builtin.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    assert [name for name, _ in builtin.python()] == ["json/table.py"]


def test_comments_are_read_in_blocks_and_what_heads_a_file_is_not(tmp_path, monkeypatch) -> None:
    block = "# Why this is done here and not there, in a sentence that is long enough to be one.\n"
    body = "".join(f"    {block[:-1]} Number {n}.\n    x = {n}\n" for n in range(6))
    code = f"# A licence, which every file repeats.\nimport os\n\ndef f():\n{body}    # short\n"
    (tmp_path / "one.py").write_text(code)
    (tmp_path / "empty.py").write_text("# nothing but a comment\n")
    monkeypatch.setattr(builtin.sysconfig, "get_paths", lambda: {"purelib": str(tmp_path)})
    ((name, text),) = builtin.prose2()
    assert name == "one.py"
    assert text.split("\n\n") == [f"{block[2:-1]} Number {n}." for n in range(6)]


def test_prose2_shares_no_document_with_prose() -> None:
    sides = [
        {d.digest for d in read_documents(source, max_chars=60_000)}
        for source in ("prose", "prose2")
    ]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_modules_that_no_reader_could_use_are_passed_over(tmp_path, monkeypatch) -> None:
    words = "a docstring of an installed module that says this and that about its own functions "
    (tmp_path / "good.py").write_text(f'"""{words * 6}"""\n')
    (tmp_path / "half.py").write_text(f'"""{words * 6}\\ud800"""\n')
    (tmp_path / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000 + "\n")
    (tmp_path / "sums.py").write_text("x = " + "-" * 200_000 + "1\n")
    (tmp_path / "folder.py").mkdir()
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"purelib": str(tmp_path)})
    documents = read_documents("prose")
    assert [document.source for document in documents] == ["good.py"]


def write_packages(site) -> None:
    """Two packages of one wheel, one with a copy of another, one of a module, and a large one."""
    for name in ("one/a.py", "_one/b.py", "two/c.py", "two/_vendor/one/a.py", "three.py"):
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'"""Docstring of {name}."""\nname = "{name}"\n' + "x = 1\n" * 100)
    for number in range(builtin.MODULES_A_PACKAGE + 5):
        (site / "large").mkdir(exist_ok=True)
        (site / "large" / f"m{number}.py").write_text(f"number = {number}\n" * 10)
    (site / "One-1.0.dist-info").mkdir()
    (site / "One-1.0.dist-info" / "METADATA").write_text("Name: One\nVersion: 1.0\n")
    (site / "One-1.0.dist-info" / "RECORD").write_text("one/a.py,,\n_one/b.py,,\n")


def test_a_package_is_one_document_with_all_that_its_wheel_has_installed(tmp_path, monkeypatch):
    write_packages(tmp_path)
    monkeypatch.setattr(builtin.sysconfig, "get_paths", lambda: {"purelib": str(tmp_path)})
    found = dict(builtin.python_packages())
    assert found.keys() == {"One", "two", "three", "large"}
    assert 'name = "one/a.py"' in found["One"]
    assert 'name = "_one/b.py"' in found["One"]
    assert found["two"].count("name =") == 1  # the copy is of another package
    assert not any("Docstring" in text for text in found.values())
    numbers = {line for line in found["large"].splitlines() if line}
    assert len(numbers) == builtin.MODULES_A_PACKAGE


def test_a_package_that_is_a_copy_of_the_standard_librarys_is_left_out(tmp_path, monkeypatch):
    """Joined with `python` it would be trained on, and its original held out."""
    site = tmp_path / "site"
    write_packages(site)
    for name in ("multiprocess", "processes"):
        (site / name).mkdir()
        (site / name / "managers.py").write_text("value = 1\n" * 60)
    monkeypatch.setattr(builtin.sysconfig, "get_paths", lambda: {"purelib": str(site)})
    found = dict(builtin.python_packages())
    assert "processes" in found
    assert "multiprocess" not in found


def test_packages_are_kept_and_parsed_once(tmp_path, monkeypatch):
    site = tmp_path / "site"
    write_packages(site)
    monkeypatch.setattr(builtin.sysconfig, "get_paths", lambda: {"purelib": str(site)})
    monkeypatch.setattr(builtin, "YOUNG_S", 0.0)
    monkeypatch.setenv("ABI_CACHE", str(tmp_path / "cache"))
    first = read_documents("python-packages")
    monkeypatch.setitem(builtin.BUILTIN, "python-packages", None)  # it would be called
    assert read_documents("python-packages") == first
    assert {document.source for document in first} == {"One", "two", "three", "large"}
