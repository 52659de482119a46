"""What the documents name is there: commands, scripts, links, targets of make, rooms."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from commands.app import app
from tests.benchmarks import readme

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "examples/README.md",
    *(
        path.relative_to(ROOT).as_posix()
        for folder in ("examples/results", "docs")
        for path in sorted((ROOT / folder).glob("*.md"))
    ),
)


WORDS_ALONE = ("CONTRIBUTING.md", "docs/glossary.md", "docs/platforms.md", "docs/which-verb.md")


def commands_in(text: str) -> Iterator[list[str]]:
    """The words behind `abi` in each indented line; a line that ends in a backslash goes on."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        found = re.search(r"^ {4}(?:.*\s)?abi ([a-z].*)$", line)
        if found and "..." not in line:
            yield shlex.split(re.split(r"\s[#|>]", found[1])[0])


def parse(words: list[str]) -> None:
    """Reads a command as `abi` would, and stops before it runs; a usage error is raised."""
    command, left = typer.main.get_command(app), list(words)
    while left and left[0] in getattr(command, "commands", {}):
        command = command.commands[left.pop(0)]  # pyright: ignore[reportAttributeAccessIssue]
    command.make_context(words[0], left)


def anchors_of(document: Path) -> set[str]:
    """The anchors of a document's headings, as a forge makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_of_a_document_is_valid(name):
    found = [*commands_in((ROOT / name).read_text("utf-8"))]
    assert found or name in WORDS_ALONE or name.startswith("examples/results/")
    for words in found:
        try:
            parse(words)
        except Exception as error:
            pytest.fail(f"{name}: abi {shlex.join(words)}: {error}")


@pytest.mark.parametrize(
    "line", ["abi train --backbone b", "abi list --nowhere", "abi basis --nowhere 1"]
)
def test_a_command_that_is_not_valid_is_noticed(line):
    with pytest.raises(Exception, match="Missing|No such"):
        parse(*commands_in(f"text\n\n    . .venv/activate; {line}    # why\n"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name):
    document = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        file, _, anchor = target.partition("#")
        if "://" in file:
            continue
        place = document.parent / file if file else document
        assert place.exists(), target
        if anchor:
            assert anchor in anchors_of(place), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_script_and_every_target_of_make_is_there(name):
    text, targets = (ROOT / name).read_text("utf-8"), (ROOT / "Makefile").read_text("utf-8")
    for script in re.findall(r"python ((?:tests|examples)/[\w/]+\.py)", text):
        assert (ROOT / script).is_file(), script
    for target in re.findall(r"(?:^ {4}|`)make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", targets, re.MULTILINE), target


def test_every_room_of_the_library_stands_in_the_table():
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`(\w+)/`", table.partition("from the top:")[2].partition("\n\n`")[0]))
    rooms = {path.parent.name for path in (ROOT / "transplant").glob("*/__init__.py")}
    assert named == rooms


def test_what_the_run_of_the_readme_leaves_out_or_expects_to_fail_stands_in_it():
    commands = [*readme.commands_of((ROOT / "README.md").read_text("utf-8"))]
    for start in (*readme.LEFT_OUT, *readme.EXPECTED, *readme.SERVERS, *readme.BRIEF):
        assert any(command.startswith(start) for command in commands), start
    run = [command for command in commands if readme.reason_against(command) is None]
    assert len(run) > len(commands) / 2
    fails = [command for command in commands if "--extended" in command]
    assert [command for command in run if readme.expected_code(command, "3.11.9")] == fails
    assert [command for command in run if readme.expected_code(command, "3.13.0")] == [
        *fails, "abi verify",
    ]  # fmt: skip


def test_a_brief_run_changes_budgets_alone_and_what_it_types_is_valid():
    runs = [*readme.commands_of((ROOT / "README.md").read_text("utf-8"))]
    cut = {one: readme.cut(one) for one in runs if one.startswith("abi ")}
    assert any(short != whole for whole, short in cut.items())
    for whole, short in cut.items():
        parse(*commands_in(f"text\n\n    {short}\n"))
        head, *piped = re.split(r"(?= [|>] )", whole)
        assert {*re.findall(r" (--\S+)", head)} <= {*re.findall(r" (--\S+)", short)}
        assert short.endswith("".join(piped))
    assert readme.cut("abi train --steps 7 --seed 3 > F") == (
        "abi train --seed 3 --steps 20 --tokens 20000 --eval-tokens 2000 > F"
    )


def test_blocks_of_python_and_shell_lines_are_commands_and_formulae_are_not():
    text = "    abi list   # all\n    t = (a)\n\n```python\nprint(1)\n```\n    make x\n"
    assert [*readme.commands_of(text)] == ["abi list", "python - <<'END'\nprint(1)\nEND", "make x"]


def test_each_feature_that_is_claimed_has_the_test_that_proves_it():
    text = (ROOT / "examples/results/features.md").read_text("utf-8")
    proofs = dict(re.findall(r"^\| (\d+) \| `([^`]+)`", text, re.MULTILINE))
    claimed = re.findall(r"^\| [^|]*?(?:\(([\d, ]+)\))? \| \*\*yes\*\*", text, re.MULTILINE)
    assert claimed
    assert {number for one in claimed for number in one.split(", ")} == {*proofs}
    for proof in proofs.values():
        file, _, test = proof.partition("::")
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), proof
