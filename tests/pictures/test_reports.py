"""A picture for each report: in three forms, refused early, and of the numbers that it is given."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest

from commands.verb_table import PLOTTED, typed_name
from transplant.errors import InputError
from transplant.files.former_keys import with_present_keys
from transplant.pictures.figures import as_png
from transplant.pictures.reports import PICTURES, check_picture, write_picture

pytest.importorskip("matplotlib")
RESULTS = Path(__file__).parents[2] / "examples" / "results"


def shipped(name: str):
    return with_present_keys(json.loads((RESULTS / f"{name}.json").read_text("utf-8")))


def reports():
    """A report of each kind, of the shipped results where there is one."""
    transfer, updates = shipped("transfer")[0], shipped("invariance").values()
    pairs = [
        {"donor": d, "target": t, "r2": 0.5 + 0.1 * (d == t)} for d in range(2) for t in range(3)
    ]
    spelled = {"none": 0.0, "exact": 0.7, "special": 0.0, "decomposed": 0.2, "prefix": 0.1}
    run = {"steps": [1, 2], "loss": [3.0, 2.0], "held": [[2, 2.5]], "nats": True}
    return {
        "transfer": transfer,
        "nib": {**transfer["nib"], "candidate": "a@b", "anchor": "c@b"},
        "ablate": shipped("ceiling-ref-gpt2-ref-llama"),
        "invariance": next(it for it in updates if isinstance(it, dict) and "controls" in it),
        "succession": next(it for it in updates if isinstance(it, dict) and "rounds" in it),
        "advise": {"from": "a", "to": "b", "numbers": {"pairs": pairs, "r2": 0.7}},
        "tokenize_align": {
            "from": "a", "to": "b", "tokens": spelled, "text": spelled,
            "pairs": {"paired_share": 0.9},
        },
        "train": {"losses": {"training a@b": run}},
    }  # fmt: skip


def renamed(report, name: str):
    """The same numbers of backbones that are called otherwise."""
    if isinstance(report, dict):
        return {renamed(key, name): renamed(value, name) for key, value in report.items()}
    if isinstance(report, list):
        return [renamed(one, name) for one in report]
    if not isinstance(report, str):
        return report
    return re.sub(r"(^|@)(ref-[a-z0-9-]+|a|b)$", rf"\1{name}", report)


@pytest.mark.parametrize("name", ["ref-gpt2", "/home/me/checkpoints/" + "llama-3.2-1b-tuned-" * 6])
@pytest.mark.parametrize("verb", [*reports()])
def test_no_word_is_cut_at_the_edge(verb, name):
    figure = PICTURES[verb](with_present_keys(renamed(reports()[verb], name)))
    as_png(figure)
    ends, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(ends.x0, ends.y0) > -0.03
    assert ends.x1 < width + 0.03
    assert ends.y1 < height + 0.03
    figure.text(0.9, 0.5, "a word that is cut")  # control
    assert figure.get_tightbbox().x1 > width + 0.03


@pytest.mark.parametrize("verb", [*reports()])
def test_every_kind_of_report_has_a_picture(verb, tmp_path):
    write_picture(tmp_path / "it.svg", verb, reports()[verb])
    assert (tmp_path / "it.svg").read_text("utf-8").startswith("<svg")


def test_the_verbs_that_plot_are_those_that_have_a_picture():
    assert {typed_name(verb) for verb in PICTURES} == PLOTTED


def test_a_picture_is_of_its_numbers(tmp_path):
    report = reports()["nib"]
    other = copy.deepcopy(report)
    other["js"] += 0.01
    drawn = [Path(write_picture(tmp_path / f"{n}.png", "nib", it)).read_bytes()
             for n, it in enumerate((report, report, other))]  # fmt: skip
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0].startswith(b"\x89PNG")


def test_a_page_needs_nothing_else(tmp_path):
    page = Path(write_picture(tmp_path / "it.html", "transfer", reports()["transfer"])).read_text()
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org/", "")


def test_a_share_without_a_ceiling_has_no_bar_but_a_row(tmp_path):
    report = copy.deepcopy(reports()["transfer"])
    report["recovered"] = dict.fromkeys(report["recovered"])
    write_picture(tmp_path / "it.svg", "transfer", report)
    assert (tmp_path / "it.svg").stat().st_size > 1000


@pytest.mark.parametrize(("name", "why"), [("it.pdf", "ends in"), ("it", "no ending")])
def test_another_form_is_refused_before_the_work(name, why, tmp_path):
    with pytest.raises(InputError, match=why):
        check_picture(tmp_path / name)
    check_picture(tmp_path / "it.PNG")


def test_an_artifact_without_losses_is_named_not_drawn(tmp_path):
    with pytest.raises(InputError, match="no losses are recorded"):
        write_picture(tmp_path / "it.png", "show", {"made": {"seed": 0}})
    assert not (tmp_path / "it.png").exists()
