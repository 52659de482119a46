"""A report of runs: the measured numbers, and what is missing by name."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

import transplant
from registry.store import Registry
from transplant.errors import InputError, NotFoundError, TransplantError
from transplant.evidence.report.record import GLOSSARY
from transplant.files.result_kinds import kind_of, results_in

pytest.importorskip("jinja2")
RESULTS = Path(__file__).parents[3] / "examples" / "results"
MOVE = json.loads((RESULTS / "transfer.json").read_text())[0]
TRACE = {
    "model": "m@t", "backbone": "t", "blocks": 2, "heads": 2, "mode": "ablation",
    "intervention": "mean", "metric": "nll", "unit": "nats per token", "sign": "positive: worse",
    "documents": 3, "data": "prose", "predicted": 90, "passes": 4,
    "targets": [
        {"target": f"head:{n // 2}.{n % 2}", "kind": "head", "layer": n // 2, "head": n % 2,
         "effect": 0.125 * n, "interval": [0.1 * n, 0.2 * n], "measured": True}
        for n in range(4)
    ],
}  # fmt: skip
ROW = {"pairs": 40, "accuracy": 0.625, "interval": {"accuracy": [0.5, 0.75]}}
PAIRS = {"model": "m@t", **ROW, "fields": {"scope": ROW}, "paradigms": {}, "ties": 0}


@pytest.fixture
def work(tmp_path) -> transplant.Workspace:
    """A workspace on an empty registry."""
    root = tmp_path / "registry"
    return transplant.Workspace(library=Registry(root, reference=root / ".none"))


@pytest.fixture
def reported(work, tmp_path):
    """Writes results to files, and gives the Markdown of their report and what was returned."""

    def write(*results: object) -> tuple[str, dict]:
        files = []
        for number, result in enumerate(results):
            files.append(str(tmp_path / f"{number}.json"))
            Path(files[-1]).write_text(json.dumps(result))
        found = work.report(files, tmp_path / "report.md", samples=0)
        return (tmp_path / "report.md").read_text(), found

    return write


def without(result: dict, *keys: str) -> dict:
    """A copy that lacks what lies at a path of keys."""
    changed = copy.deepcopy(result)
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return changed


def test_the_headline_is_what_the_file_holds_with_its_interval(reported):
    text, found = reported(MOVE)
    low, high = MOVE["intervals"]["recovered"]["candidate"]
    said = f"{MOVE['recovered']['candidate']:.3f} (95 %: {low:.3f} .. {high:.3f})"
    assert said in found["headline"]
    assert said in text
    assert f"{MOVE['eval']['tokens']:,} held-out tokens" in found["headline"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("intervals", "recovered", "candidate"), "no interval is on record"),
        (("nib",), "a NIB: "),
        (("bridge",), "an alignment: "),
        (("recovered", "candidate"), "share was not measured"),
    ],
)
def test_what_a_file_lacks_is_named_and_not_filled_in(reported, path, said):
    whole, _ = reported(MOVE)
    text, found = reported(without(MOVE, *path))
    assert said in text
    assert said not in whole
    assert "nan" not in text.lower().split()
    assert len(found["missing"]) >= 4  # no trace, no pairs, no uncertainty, no gates


def test_a_native_that_gains_nothing_has_no_share(reported):
    why = "no ceiling: the native gains 0.0000 nats per token"
    none = {**MOVE, "no_ceiling": why, "recovered": dict.fromkeys(MOVE["recovered"])}
    _, found = reported(none)
    assert why in found["headline"]
    assert MOVE["name"] in found["headline"]


def test_every_kind_of_evidence_has_its_numbers_in_its_section(reported):
    text, found = reported(MOVE, TRACE, PAIRS)
    assert [run["kind"] for run in found["runs"]] == ["move", "trace", "pairs"]
    assert "| head:1.1 | +0.3750 | +0.3000 .. +0.6000 |" in text
    assert "| all pairs | 0.625 | 0.500 .. 0.750 | 40 pairs |" in text
    assert not [line for line in found["missing"] if line.startswith(("a trace", "minimal"))]
    assert "dead" not in text


def test_results_are_found_wherever_a_file_has_them():
    held = {"add": {"a": {"seconds": 1}}, "moves": [{"command": "abi transfer", "report": MOVE}]}
    assert [(kind, command) for kind, _, command in results_in(held)] == [
        ("move", "abi transfer"),
    ]  # fmt: skip
    assert [kind for kind, *_ in results_in([MOVE, TRACE, {"x": 1}])] == ["move", "trace"]
    assert kind_of({"donor": "a"}) is None
    assert [*results_in({"a": {"b": 1}})] == []


def test_what_an_earlier_version_wrote_is_told_with_its_intervals(reported):
    present = {"pairs": 40, "accuracy": 0.6, "difference": 0.1, "mcnemar": {"p": 0.2}}
    former = {**present, "accuracy_interval": [0.5, 0.7], "difference_interval": [0.0, 0.2]}
    present["interval"] = {"accuracy": [0.5, 0.7], "difference": [0.0, 0.2]}
    files = [
        {**PAIRS, "baseline": "t", **row, "fields": {"scope": row}} for row in (former, present)
    ]
    for file in files:
        text, _ = reported(file)
        assert "| all pairs | 0.600 | 0.500 .. 0.700 |" in text
        assert "+0.100 (95 %: +0.000 .. +0.200) over t" in text
    trained = {"name": "m@b", "backbone": "b", "module_sha256": "0", "trained_parameters": 3,
               "ppl": {"raw": 4.0, "native": 2.0}}  # fmt: skip
    for gain in ({"low": 0.6, "high": 0.8}, {"interval": [0.6, 0.8]}):
        _, found = reported({**trained, "difference": {"raw": {"nats": 0.7, **gain}}})
        assert "0.700 (95 %: 0.600 .. 0.800) nats per token less" in found["headline"]


def test_the_shipped_results_can_be_reported(work, tmp_path):
    files = sorted(str(path) for path in RESULTS.glob("*.json"))
    held = [file for file in files if [*results_in(json.loads(Path(file).read_text()))]]
    found = work.report(held, tmp_path / "all.md", samples=0)
    assert len(held) > 12
    assert {"move", "ablation", "curve"} <= {run["kind"] for run in found["runs"]}


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        ("{}", InputError, "holds no result"),
        ("[1, 2]", InputError, "holds no result"),
        ("no json", InputError, "cannot read"),
        ('{"a": NaN}', InputError, "cannot read"),
        (json.dumps({**MOVE, "eval": {"tokens": "x" * 9, "documents": []}, "ppl": 3, "recovered":
                     {"candidate": []}}), None, ""),
        (json.dumps({**TRACE, "targets": [{"target": "head:0.0"}]}), InputError, "cannot report"),
        (json.dumps({**TRACE, "targets": 3}), InputError, "cannot report"),
        (json.dumps({**PAIRS, "fields": {"scope": {"accuracy": "high"}}}), InputError,
         "cannot report"),
        (json.dumps({"format": "abi-uq", "version": 1}), InputError, "holds no result"),
    ],
)  # fmt: skip
def test_half_a_result_is_refused_by_name_and_nothing_is_written(
    work, tmp_path, content, error, said
):
    file, out = tmp_path / "run.json", tmp_path / "report.html"
    file.write_text(content)
    if error is None:
        work.report([str(file)], out, samples=0)
        assert "not measured" in out.read_text()
        return
    with pytest.raises(error, match=said) as raised:
        work.report([str(file)], out, samples=0)
    assert str(file) in str(raised.value)
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no json", "cannot read"),
        (json.dumps({**TRACE, "targets": 3}), "cannot report on"),
    ],
)
def test_a_file_of_a_folder_that_cannot_be_read_is_left_out_by_name(work, tmp_path, content, said):
    runs = tmp_path / "runs"
    runs.mkdir()
    half, out = runs / "a.json", tmp_path / "report.md"
    half.write_text(content)
    with pytest.raises(InputError, match=f"{said}.*{half}"):  # nothing else is there
        work.report([str(runs)], out, samples=0)
    (runs / "move.json").write_text(json.dumps(MOVE))
    (runs / "other.json").write_text("{}")  # no result, and no fault
    found = work.report([str(runs)], out, samples=0)
    assert [run["kind"] for run in found["runs"]] == ["move"]
    assert [one["file"] for one in found["left_out"]] == [str(half)]
    assert said in found["left_out"][0]["why"]
    assert MOVE["name"] in found["headline"]
    with pytest.raises(InputError, match=f"{said}.*{half}"):  # it was named itself
        work.report([str(runs / "move.json"), str(half)], out, samples=0)


def test_what_cannot_be_asked_for_is_refused(work, tmp_path):
    with pytest.raises(NotFoundError, match="no file"):
        work.report(["gone.json"], tmp_path / "r.md")
    with pytest.raises(NotFoundError):
        work.report(["nobody@nowhere"], tmp_path / "r.md")
    with pytest.raises(InputError, match=r"\.pdf"):
        work.report(["a.json"], tmp_path / "r.docx")
    with pytest.raises(InputError, match="a name or a file"):
        work.report([], tmp_path / "r.md")
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(TransplantError, match="cannot write"):
        work.report(["a.json"], tmp_path / "folder.md")


def test_words_are_explained_where_they_are_used(reported):
    text, _ = reported(MOVE)
    words = text.split("## Words")[1]
    assert f"| recovered | {GLOSSARY['recovered']}" in words.replace("\\", "")
    assert "McNemar" not in words
    assert "| NIB |" in words


def test_commands_seeds_versions_and_dates_are_told_or_said_to_be_missing(reported):
    made = {"verb": "transfer", "options": {"module": "a@b", "to": "c", "name": None}, "seed": 3,
            "versions": {"torch": "2.0"}, "date": "2026-01-02T03:04:05+00:00"}  # fmt: skip
    text, _ = reported({**MOVE, "made": made}, {**TRACE, "made": {}})
    assert "transfer(module='a@b', to='c', seed=3)" in text
    assert "| versions | torch 2.0 |" in text
    assert "| date | 2026-01-02T03:04:05+00:00 |" in text
    assert "not on record how it was made" in text
    assert "| file written | 20" in text


def test_a_run_records_when_it_was_made(work):
    assert work.made()["date"].endswith("+00:00")
