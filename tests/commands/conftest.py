"""A registry of tiny backbones and a corpus of files, and a way to run `abi` on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer import testing
from typer.main import get_command
from typer.testing import CliRunner

from commands.app import app
from commands.fence import EXIT_NOT_PASSED
from commands.verb_table import VERBS
from tests.tiny_registry import put_backbones, put_corpus
from transplant.errors import InputError
from transplant.schemas.table import ERROR, check_report

# The runner would make the command of all verbs at each call, which takes longer than most of them.
testing._get_command = cache(get_command)
TINY = ("--steps", "20", "--window", "64", "--batch", "2", "--tokens", "6000", "--d-abi", "16")


@dataclass(frozen=True)
class Ran:
    """What a run of `abi` did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as JSON; fails where anything else is there."""
        return json.loads(self.out)


def _report_of(words: tuple[str, ...], code: int) -> str:
    """The name of the schema that the object of a run must have."""
    verbs = [name for names in VERBS.values() for name in names]
    typed = " ".join(words)
    named = [verb for verb in verbs if f"{typed} ".startswith(f"{verb} ")]
    return max(named, key=len) if named and code in (0, EXIT_NOT_PASSED) else ERROR


def check_whole(name: str, text: str) -> None:
    """Fails where what was printed is no report of a verb, or where a stray key would be one."""
    check_report(name, text)
    printed = json.loads(text)
    for step in printed.get("steps", ()) if name == "run" else ():
        if step["report"] is not None:
            versioned = {"schema_version": printed["schema_version"], **step["report"]}
            check_report(step["verb"], json.dumps(versioned))
    stray = json.dumps(printed | {"stray": 1})
    with pytest.raises(InputError, match="stray"):
        check_report(name, stray)


@dataclass(frozen=True)
class Abi:
    """Runs verbs against one registry."""

    root: Path
    corpus: str

    def __call__(self, *words: str) -> Ran:
        result = CliRunner().invoke(app, [*words], env={"ABI_REGISTRY": str(self.root)})
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        if "--json" in words and result.stdout:
            check_whole(_report_of(words, result.exit_code), result.stdout)
        return Ran(result.exit_code, result.stdout, result.stderr)

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """The rows of `abi list`."""
        return self("list", *words, "--json").json["artifacts"]

    def train(self, backbone: str, *more: str) -> Ran:
        words = ("train", "--backbone", backbone, "--domain", "tales", "--data", self.corpus)
        return self(*words, *TINY, "--json", *more)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, tiny_texts) -> str:
    return put_corpus(tmp_path_factory.mktemp("corpus") / "tales", tiny_texts)


@pytest.fixture(scope="session")
def trained_abi(tmp_path_factory, tiny_texts, corpus) -> Abi:
    """A registry with a `tales` module on tiny-gpt2; tests must not change what they find."""
    root = tmp_path_factory.mktemp("registry")
    put_backbones(root, tiny_texts)
    abi = Abi(root, corpus)
    assert abi.train("tiny-gpt2").code == 0
    return abi


@pytest.fixture
def abi(tmp_path, tiny_texts, corpus) -> Abi:
    """A registry with tiny backbones and nothing else, for one test alone."""
    put_backbones(tmp_path / "registry", tiny_texts)
    return Abi(tmp_path / "registry", corpus)


@pytest.fixture(scope="session")
def stored(tmp_path_factory, corpus):
    """A registry with 2M, `other` of the same tokenizer, and 2M-tales; tests must not change it."""
    from tests.commands.core_runs import train_core, train_inside

    abi = Abi(tmp_path_factory.mktemp("cores"), corpus)
    made = {"2M": train_core(abi)}
    made["other"] = train_core(abi, "--name", "other", "--tokenizer", "2M", "--seed", "1")
    made["2M-tales"] = train_inside(abi, "2M", "lite")
    for ran in made.values():
        assert ran.code == 0, ran.err
    return abi, {name: ran.json for name, ran in made.items()}
