"""`abi report`: one page of a move, its commands as they are typed."""

from __future__ import annotations

import html
import json
import shutil

import pytest

from commands.render.typed import typed_run
from tests.commands.conftest import Abi
from tests.pictures.browser import loaded_by, needs_chromium, widths

pytest.importorskip("jinja2")
NAME = "tales-from-tiny-gpt2@tiny-llama"


@pytest.fixture(scope="module")
def moved(trained_abi, tmp_path_factory):
    """A registry with a moved module, and the report of the move."""
    root = tmp_path_factory.mktemp("moved") / "registry"
    shutil.copytree(trained_abi.root, root)
    abi = Abi(root, trained_abi.corpus)
    ran = abi(
        "transfer", "--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--data", abi.corpus,
        "--excerpts", "40", "--eval-tokens", "2000", "--replace", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    return abi, ran.json


@pytest.fixture(scope="module")
def page(moved, tmp_path_factory):
    """The page of the moved module, by name, and what the verb printed."""
    abi, _ = moved
    out = tmp_path_factory.mktemp("page") / "report.html"
    ran = abi("report", NAME, "--out", str(out), "--samples", "1", "--json")
    assert ran.code == 0, ran.err
    return html.unescape(out.read_text()), ran.json


def test_the_page_of_an_artifact_has_what_the_move_measured(moved, page):
    _, report = moved
    text, found = page
    share, bounds = (
        part["candidate"] for part in (report["recovered"], report["interval"]["recovered"])
    )
    assert f"{share:.3f} (95 %: {bounds[0]:.3f} .. {bounds[1]:.3f})" in found["headline"]
    assert found["headline"] in text
    assert f"{report['bridge']['r2']:.3f}" in text
    assert report["made"]["date"][:10] in text
    assert f"sha256 {report['module_sha256']['donor'][:16]}" in text


def test_the_lineage_leads_back_to_the_donor(page):
    text, _ = page
    drawn = text[text.index("<svg") : text.index("</svg>")]
    for name in ("tiny-gpt2", "tiny-llama", "tales@tiny-gpt2/d16"):
        assert f"  {name}</text>" in drawn
    assert "donor interface" in drawn
    assert "not in this registry" not in drawn


def test_raw_native_and_moved_write_after_the_same_prompt(page):
    text, _ = page
    heads = [f"<h4>{one}" for one in ("raw: tiny-llama", "native: tales@tiny-llama", "moved: ")]
    assert [text.count(head) for head in heads] == [1, 1, 1]
    assert text.count("After this prompt") == 1


def test_commands_are_those_to_type(page):
    text, found = page
    assert "<pre>abi transfer --module tales@tiny-gpt2 --to tiny-llama" in text
    assert "--excerpts 40" in text
    assert "--ridge" not in text  # a default
    assert any("abi trace --model" in line for line in found["missing"])
    assert typed_run("show", {"name": "a@b", "kind": None, "verify": False}) == "abi show a@b"
    many = typed_run("transfer", {"to": "b", "also_eval": ["x=1", "y=2"], "seed": 4})
    assert many == "abi transfer --to b --also-eval x=1 --also-eval y=2 --seed 4"
    assert typed_run("bench_trace", {"n": 1}) == "bench_trace(n=1)"


def test_the_page_needs_nothing_else(page):
    assert loaded_by(page[0]) == []


@needs_chromium
def test_the_page_is_no_wider_than_a_telephone(page, tmp_path):
    assert widths(page[0], tmp_path, 390, 1280) == [0, 0]


def test_a_file_says_more_than_the_manifest_and_finds_its_artifact(moved, tmp_path):
    abi, report = moved
    (tmp_path / "move.json").write_text(json.dumps(report))
    out = tmp_path / "report.md"
    ran = abi("report", str(tmp_path / "move.json"), "--out", str(out), "--samples", "0")
    assert ran.code == 0, ran.err
    assert "missing: text" in ran.out
    text = out.read_text()
    assert f"identical, sha256 {report['module_sha256']['donor'][:16]}" in text
    assert "donor interface" in text.split("## Lineage")[1].split("##")[0]


def test_what_cannot_be_reported_is_refused_with_the_flag(moved, tmp_path):
    abi, _ = moved
    ran = abi("report", NAME, "--out", str(tmp_path / "a.docx"), "--json")
    assert (ran.code, ran.json["what"]) == (1, "--out")
    ran = abi("report", "nobody@tiny-llama", "--out", str(tmp_path / "a.md"), "--json")
    assert (ran.code, ran.json["error"]) == (1, "NotFoundError")
    assert abi("report", NAME).code == 2
    assert [*tmp_path.iterdir()] == []
