"""Pages of the registry and of runs, and what is computed on request."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest

from registry.store import REFERENCE
from tests.studio.conftest import MOVED, OWN, SECRET, show
from transplant.studio.drawn import draw


def generate(shown, **changes):
    """Asks for texts; returns the answer."""
    form = {
        "backbone": "ref-llama", "system": ["ref-llama", MOVED], "prompt": "def f():\r\n    ",
        "tokens": "8",
    }  # fmt: skip
    return shown.client.post("/generate", data={**form, **changes}, headers=OWN)


def finished(shown, answer) -> str:
    """The page of what an answer has begun, once it is done."""
    assert answer.status_code == 303, answer.text
    shown.studio.desk.wait(20)
    return shown.client.get(answer.headers["location"]).text


def test_the_overview_names_what_the_registry_holds(shown):
    text = shown.client.get("/").text
    for name in ("ref-gpt2", "ref-t5", "python-shipped@ref-gpt2/d128", MOVED):
        assert f">{name}<" in text
    assert "recovered 0.39" in text
    assert (
        shown.client.get("/artifacts", params={"kind": "interface"}).text.count(">interface<") == 6
    )
    assert shown.client.get("/artifacts", params={"kind": "nothing"}).status_code == 400


def test_every_artifact_has_a_page_and_every_link_leads_somewhere(shown):
    links = {*re.findall(r'href="(/artifact\?[^"]+)"', shown.client.get("/artifacts").text)}
    assert len(links) == len(shown.studio.library.entries()) == 14
    for link in links:
        answer = shown.client.get(link.replace("&amp;", "&"))
        assert answer.status_code == 200
        links_here = {*re.findall(r'href="(/artifact\?[^"]+)"', answer.text)}
        assert links_here <= links


def test_an_artifact_shows_its_evidence_and_where_it_comes_from(shown):
    text = shown.client.get("/artifact", params={"kind": "module", "name": MOVED}).text
    assert "<td>0.388</td>" in text
    assert "python-shipped@ref-gpt2/d128" in text  # the module that was moved
    assert "8ca7b81d726c" in text
    assert "token_counts" not in text
    home = {"kind": "module", "name": "python-shipped@ref-gpt2/d128"}
    assert MOVED in shown.client.get("/artifact", params=home).text  # the same bytes


@pytest.mark.parametrize(
    "query",
    [
        {}, {"kind": "module"}, {"kind": "module", "name": "ref-gpt2"},
        {"kind": "backbone", "name": "../reference/ref-gpt2"}, {"kind": "", "name": MOVED},
        {"kind": "backbone", "name": str(REFERENCE / "ref-gpt2")},
    ],
)  # fmt: skip
def test_only_the_own_name_of_an_artifact_finds_it(shown, query):
    assert shown.client.get("/artifact", params=query).status_code == 404


def test_a_damaged_artifact_is_named_and_the_others_are_shown(tmp_path):
    shutil.copytree(REFERENCE / "ref-llama", tmp_path / "ref-llama")
    manifest = tmp_path / "ref-llama" / "d128" / "module" / "python-shipped" / "manifest.json"
    manifest.write_text("{")
    answer = show(tmp_path).client.get("/")
    assert answer.status_code == 200
    assert str(manifest) in answer.text
    assert MOVED in answer.text


def test_runs_are_shown_and_links_in_their_folder_are_not_followed(shown):
    text = shown.client.get("/runs").text
    kinds = re.findall(r'href="(/run\?[^"]+)">([^<]+)</a></td><td>(\w+)', text)
    assert {(name.partition("/")[2], kind) for _, name, kind in kinds} == {
        ("curve-ref-gpt2-ref-llama.json", "curve"), ("transfer.json", "moves"),
        ("ablate-objectives-ref-gpt2-ref-llama.json", "ablation"), ("link.json", "unreadable"),
    }  # fmt: skip
    for link, name, _ in kinds:
        answer = shown.client.get(link)
        assert answer.status_code == (409 if name.endswith("link.json") else 200)
        assert SECRET not in answer.text
    assert shown.client.get("/run", params={"id": "../secret.json"}).status_code == 404


def test_texts_stand_side_by_side_and_are_escaped(shown):
    text = finished(shown, generate(shown))
    asked = shown.studio.actions.asked[-1]
    assert [(one.role, one.name) for one in asked["systems"]] == [
        ("raw", "ref-llama"), ("moved", MOVED),
    ]  # fmt: skip
    assert (asked["prompt"], asked["tokens"]) == ("def f():\n    ", 8)
    assert text.count("<pre>&lt;b&gt;x&lt;/b&gt;</pre>") == 2


def test_raw_native_and_moved_are_chosen_where_nothing_else_is_asked(shown):
    text = shown.client.get("/generate", params={"backbone": "ref-llama", "module": MOVED}).text
    checked = re.findall(r'value="([^"]+)" checked', text)
    assert checked == ["ref-llama", "python-shipped@ref-llama/d128", MOVED]


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "/etc"}, {"backbone": "gpt2"}, {"system": []}, {"system": ["ref-gpt2"]},
        {"system": ["ref-llama"] * 9 + ["x"]}, {"prompt": ""}, {"prompt": "x" * 5000},
        {"tokens": "0"}, {"tokens": "129"}, {"tokens": "1e2"}, {"tokens": "9" * 5000},
    ],
)  # fmt: skip
def test_what_is_not_offered_is_not_computed(shown, changes):
    before = len(shown.studio.actions.asked)
    assert generate(shown, **changes).status_code == 400
    assert len(shown.studio.actions.asked) == before


def test_a_form_has_bounds(shown):
    kinds = {"content-type": "application/x-www-form-urlencoded", **OWN}
    for body, status in ((b"x" * 70_000, 413), (b"a=%ff", 400), (b"&".join([b"a=b"] * 99), 400)):
        assert shown.client.post("/generate", content=body, headers=kinds).status_code == status
    assert shown.client.post("/generate", json={}, headers=OWN).status_code == 415


def test_one_computation_at_a_time_and_it_can_be_stopped(shown, monkeypatch):
    def endless(task, _asked):
        while True:
            task.note("at work")
            time.sleep(0.01)

    monkeypatch.setattr(shown.studio.actions, "advise", endless)
    form = {"from": "ref-gpt2", "to": "ref-llama"}
    begun = shown.client.post("/advice", data=form, headers=OWN)
    busy = shown.client.post("/advice", data=form, headers=OWN)
    assert (busy.status_code, "advice on ref-gpt2 to ref-llama" in busy.text) == (409, True)
    page = shown.client.get(begun.headers["location"])
    assert (page.headers["refresh"], "at work" in page.text) == ("1", True)
    id = begun.headers["location"].partition("=")[2]
    shown.client.post("/stop", data={"id": id}, headers=OWN)
    shown.studio.desk.wait(5)
    ended = shown.client.get(begun.headers["location"])
    assert "refresh" not in ended.headers
    assert "stopped" in ended.text
    assert finished(shown, generate(shown))  # the next one may begin


def run_of(shown, end: str) -> str:
    """The address of a run's page."""
    text = shown.client.get("/runs").text
    found = re.findall(r'href="(/run[?][^"]+)">([^<]+)<', text)
    return next(link for link, name in found if name.endswith(end))


def test_a_curve_is_a_picture_for_wide_and_for_narrow_screens(shown):
    link = run_of(shown, "curve-ref-gpt2-ref-llama.json")
    assert link.replace("/run?", "/picture?") in shown.client.get(link).text
    sizes = []
    for more in ("", "&narrow=1"):
        answer = shown.client.get(link.replace("/run?", "/picture?") + more)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        sizes.append(int.from_bytes(answer.content[16:20], "big"))
    assert sizes[0] > sizes[1]
    other = run_of(shown, "transfer.json").replace("/run?", "/picture?")
    assert shown.client.get(other).status_code == 404


def test_pictures_of_several_panels_are_narrow_on_a_narrow_screen():
    row = {"tau": 1.0, "coverage": 0.5, "selective": 1.0, "routed": 2.0}
    gain = {"nats": 0.1, "interval": [0.0, 0.2]}
    reports = {
        "route": {"model": "a@b", "baseline": "b", "by": "entropy", "coverage": 0.5,
                  "areas": {"selective": gain, "routed": gain},
                  "curve": [{**row, "coverage": 0.0}, row, {**row, "coverage": 1.0}]},
        "ranks": {"score": "fisher", "parameters": 9,
                  "maps": [{"type": f"map.{n}", "layer": 0, "rank": n} for n in range(7)]},
    }  # fmt: skip
    for kind, report in reports.items():
        wide, narrow = (draw(kind, report, narrow=narrow) for narrow in (False, True))
        sizes = [
            [int.from_bytes(it[at : at + 4], "big") for at in (16, 20)] for it in (wide, narrow)
        ]
        assert sizes[0][0] > sizes[1][0], kind
        assert sizes[1][1] > sizes[1][0], kind  # higher than wide: its letters can be read


def test_recovered_is_a_bar_with_its_interval(shown):
    text = shown.client.get(run_of(shown, "transfer.json")).text
    assert text.count('class="moved"') == 24  # a candidate of each move
    assert "<small>0.624 to 0.662</small>" in text


def test_advice_is_drawn_with_its_numbers_and_its_commands(shown):
    report = {
        "from": "a", "to": "b", "strategy": "transfer", "numbers": {},
        "steps": [{"verb": "transfer", "options": {"module": "m@a"}, "why": "because"}],
        "answers": [
            {"question": name, "yes": True, "number": 0.5, "threshold": 0.25, "rests_on": "x"}
            for name in ("the same space?", "aligned?", "high-impact parts?")
        ],
    }  # fmt: skip
    file = Path(shown.studio.runs.found()[0].path).with_name("advice.json")
    try:
        file.write_text(json.dumps(report))
        text = shown.client.get(run_of(shown, "advice.json")).text
        assert "0.5, threshold 0.25" in text
        assert "<pre>transfer(module=&#39;m@a&#39;)</pre>" in text
        file.write_text(json.dumps(report | {"answers": 3}))
        assert shown.client.get(run_of(shown, "advice.json")).status_code == 409
    finally:
        file.unlink()
