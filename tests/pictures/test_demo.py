"""The page of a demo, from shipped moves: words of full size on a telephone."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.pictures.browser import loaded_by, needs_chromium, widths
from transplant.files.former_keys import with_present_keys
from transplant.pictures.demo import bars_of, write_demo

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
RESULTS = Path(__file__).parents[2] / "examples" / "results" / "transfer.json"
PLAN = {"domain": "python", "donor": "ref-gpt2", "data": "python", "pair_on": "prose",
        "train": {"steps": 250}}  # fmt: skip


@pytest.fixture(scope="module")
def moves():
    """Two shipped moves, as a demo reports them."""
    found = with_present_keys(json.loads(RESULTS.read_text()))
    return [
        {**move, "native_gains": math.log(move["ppl"]["raw"] / move["ppl"]["native"])}
        for move in (found[0], found[8])
    ]


@pytest.fixture(scope="module")
def page(moves, tmp_path_factory):
    """The page as it is written."""
    report = {"moves": moves, "plan": PLAN, "seconds": 240.0}
    return write_demo(tmp_path_factory.mktemp("demo"), report).read_text()


@needs_chromium
def test_the_page_is_no_wider_than_a_telephone(page, tmp_path):
    assert widths(page, tmp_path, 390, 1280) == [0, 0]


def test_its_numbers_are_text_and_no_picture_that_shrinks(page, moves):
    assert loaded_by(page) == []
    assert "<svg" not in page
    assert "<img" not in page
    for move in moves:
        low, high = move["interval"]["recovered"]["candidate"]
        assert f"{low:.3f} .. {high:.3f}" in page
        assert f"{move['ppl']['native']:.2f}" in page


def test_bars_are_what_was_recovered(moves):
    drawn = bars_of(moves[0])
    assert drawn is not None
    shares = {name.replace("_", " "): share for name, share in moves[0]["recovered"].items()}
    assert {bar.label: bar.value for bar in drawn.bars} == shares
    assert {bar.role for bar in drawn.bars if bar.label == "candidate"} == {"moved"}
    assert bars_of({**moves[0], "no_ceiling": "none"}) is None
