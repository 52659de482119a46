"""The flow of advice: one way leads through it, with the numbers that were measured."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.advice.cases import CASES, PYTHON, ROUTED, THERE, measured
from transplant.advice.config import Thresholds
from transplant.advice.decide import advise
from transplant.pictures.flow import WIDTH, draw_flow

SVG = "{http://www.w3.org/2000/svg}"
LEADS_TO = {
    "paste": "paste the bytes", "transfer": "transfer", "done": "is there already",
    "train, then transfer": "in the donor", "embed-init + transfer": "embed-init",
    "transfer + fuse": "fuse them", "inject + bridge-train": "inject the part",
    "train on the target": "on the target",
}  # fmt: skip


def report_of(**changes: Any) -> dict[str, Any]:
    """A report of advice, as far as the chart reads it."""
    found = measured(**changes)
    advice = advise(found, Thresholds())
    return {
        "from": found.donor, "to": found.target, "strategy": advice.strategy,
        "answers": [dataclasses.asdict(answer) for answer in advice.answers],
    }  # fmt: skip


def parts(drawn: str) -> tuple[set[str], set[str]]:
    """The words on the way, and those that are not."""
    off, on = ET.fromstring(drawn).findall(f"{SVG}g")
    assert (off.get("class"), on.get("class")) == ("off", "on")
    return tuple({text.text or "" for text in side.iter(f"{SVG}text")} for side in (on, off))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_way_leads_to_the_strategy_and_to_no_other(case):
    on, off = parts(draw_flow(report_of(**case.changes)))
    ends = {*LEADS_TO.values()} - {"embed-init", "in the donor"}
    wanted = LEADS_TO[case.strategy]
    assert wanted in on
    assert len(ends & on) == 1
    assert {"the same space?", "validate + UQ", "report + studio"} <= on
    assert not {"embed-init", "gate"} & on - {wanted}
    assert not on & off - {"yes", "no", "not measured", "train a module"}


def test_the_numbers_are_those_of_the_report():
    drawn = draw_flow(report_of(candidates=(THERE,), route=ROUTED))
    numbers = {*re.findall(r">([\d.]+, threshold [\d.]+)<", drawn)}
    assert {"0.6, threshold 0.3", "0.93, threshold 0.85", "0.004, threshold 0.01"} <= numbers
    assert "0.9, threshold 0.1" in numbers


def test_nothing_leaves_the_chart_or_touches_another_box():
    root = ET.fromstring(draw_flow(report_of(donor="a" * 60, candidates=(PYTHON,))))
    boxes = [
        tuple(float(box.get(name)) for name in ("x", "y", "width", "height"))
        for box in root.iter(f"{SVG}rect")
    ]
    height = float(root.get("viewBox").split()[3])
    assert all(x >= 0 and x + w <= WIDTH and y >= 0 and y + h <= height for x, y, w, h in boxes)
    for n, (x, y, w, h) in enumerate(boxes):
        for a, b, c, d in boxes[n + 1 :]:
            assert x + w < a or a + c < x or y + h < b or b + d < y
    assert max(len(text.text or "") for text in root.iter(f"{SVG}text")) <= 24


def test_what_a_report_says_is_escaped():
    report = report_of() | {"from": "<script>", "to": "&"}
    assert "<script>" not in draw_flow(report)
    assert ET.fromstring(draw_flow(report)) is not None
