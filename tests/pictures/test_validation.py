"""Gates as JUnit XML that any reader takes, whatever a text is called."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from transplant.pictures.validation import write_junit


@pytest.mark.parametrize("name", ["prose", 'a<b>&"c"', "a\x01b", "e\x1b[31m", "n\ud800n", "\ufffe"])
def test_names_of_texts_leave_the_xml_whole(name, tmp_path):
    gate = {
        "metric": f"ece.{name}", "asked": "at most 1", "value": 2.0, "interval": None,
        "pass": False, "why": f"of {name}",
    }  # fmt: skip
    report = {
        "model": name, "baseline": "b", "gates": [gate, {**gate, "pass": True}],
        "failed": [gate["metric"]], "seconds": 1.0,
    }  # fmt: skip
    write_junit(tmp_path / "v.xml", report)
    suite = ElementTree.parse(tmp_path / "v.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), len(suite)) == ("2", "1", 2)
    failure = suite[0].find("failure")
    assert failure is not None
    assert failure.text == suite[0].get("name", "").replace("ece.", "of ").split(": ")[0]
