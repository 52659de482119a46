"""abi ablate and abi transfer --curve on tiny backbones."""

from __future__ import annotations

import json

import pytest

from transplant.workflows.move.ablation import SIDE_BY_SIDE
from transplant.workflows.move.trials import Trials
from transplant.workflows.move.whole import WholeMove

MOVE = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--excerpts", "40", "--json")


@pytest.fixture(scope="module")
def ready(trained_abi):
    """A registry that holds the ceiling already."""
    assert trained_abi.train("tiny-llama", "--replace").code == 0
    return trained_abi


def stored(abi):
    return {(row["name"], row["kind"], row["backbone"]) for row in abi.rows()}


@pytest.mark.parametrize("what", ["objectives", "controls"])
def test_an_ablation_holds_every_module_under_every_objective(what, ready, tmp_path):
    before, file = stored(ready), tmp_path / "deep" / "ablation.json"
    ran = ready(
        "ablate", what, *MOVE, "--data", ready.corpus, "--steps", "2", "--tokens", "1500",
        "--eval-tokens", "2000", "--seeds", "2", "--out", str(file),
    )  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    report = ran.json
    assert json.loads(file.read_text()) == report
    means = {(row["objective"], row["from"], row["module"]): row for row in report["means"]}
    expected = [(label, "closed-form") for label in SIDE_BY_SIDE]
    if what == "controls":
        expected = [("closed-form", "nothing"), ("kd", "new"), ("kd", "closed-form")]
    modules = ("donor", "random", "none")
    assert means.keys() == {(*pair, module) for pair in expected for module in modules}
    for row in report["rows"]:
        assert {"ppl", "recovered", "interval", "nib", "seconds", "needs"} <= row.keys()
        assert row["interval"][0] <= row["recovered"] <= row["interval"][1]
    assert [row["seeds"] for row in report["means"]] == [[0, 1]] * len(report["means"])
    # A random module is another one under another seed; the donor's closed form is not.
    closed = {row["name"]: row["ppl"] for row in report["rows"] if "closed-form/" in row["name"]}
    assert closed["closed-form/donor/0"] == pytest.approx(closed["closed-form/donor/1"])
    assert closed["closed-form/random/0"] != closed["closed-form/random/1"]
    assert stored(ready) == before  # an ablation keeps nothing


def test_the_controls_also_start_from_a_new_interface(ready):
    ran = ready(
        "ablate", "controls", *MOVE, "--data", ready.corpus, "--steps", "2", "--tokens", "1500",
        "--eval-tokens", "2000", "--modules", "donor",
    )  # fmt: skip
    rows = {row["name"]: row for row in ran.json["rows"]}
    assert rows.keys() == {"closed-form/donor/0", "kd/new/donor/0", "kd/closed-form/donor/0"}
    # Two steps at 1e-4 from an interface that writes nothing: next to nothing is recovered.
    assert abs(rows["kd/new/donor/0"]["recovered"]) < 0.2


def test_shapes_train_move_and_weigh_each_and_use_again_what_is_trained(ready, monkeypatch):
    from transplant.workflows.move import shape_ablation as shapes

    table = {"d16": {"d_abi": 16}, "one-tap-normed": {"taps": (-1,), "tap_norms": True}}
    monkeypatch.setattr(shapes, "SHAPES", table)
    words = ("ablate", "shapes", *MOVE, "--data", ready.corpus, "--eval-tokens", "2000",
             "--only", ",".join(table))  # fmt: skip
    ran = ready(*words)
    assert ran.code == 0, ran.out + ran.err
    wide, normed = ran.json["rows"]
    assert (wide["shape"], wide["d_abi"], normed["shape"]) == ("d16", 16, "one-tap-normed")
    assert len(normed["taps"]) == 1
    for row in (wide, normed):
        low, high = row["interval"]
        assert low <= row["recovered"]["candidate"] <= high
        assert row["ppl"]["native"] < row["ppl"]["raw"]
    names = {name for name, kind, _ in stored(ready) if kind == "module"}
    assert {"tales-d16-0", "tales-one-tap-normed-0"} <= names
    again = ready(*words)
    assert "training" not in again.err
    assert [row["recovered"] for row in again.json["rows"]] == [
        row["recovered"] for row in (wide, normed)
    ]
    for row in ready.rows():
        if row["name"].startswith(("tales-d16", "tales-one")) and row["kind"] == "module":
            assert ready("rm", f"{row['name']}@{row['backbone']}", "--yes").code == 0


def test_the_ceiling_is_the_donor_beside_the_target(ready):
    words = ("ablate", "ceiling", *MOVE, "--data", ready.corpus, "--eval-tokens", "2000")
    ran = ready(*words)
    assert ran.code == 0, ran.out + ran.err
    rows = {row["name"]: row for row in ran.json["rows"]}
    assert 0 < ran.json["paired_share"] <= 1
    assert (rows["raw"]["recovered"], rows["native"]["recovered"]) == (0, 1)
    added = {(row["added"], row["elsewhere"]) for row in rows.values() if "added" in row}
    assert len(added) == 6
    assert rows["its module, raw"]["donor_word"] == 0
    assert not rows["raw log ratio, moved"]["module"]
    for row in rows.values():
        assert row["interval"][0] <= row["recovered"] <= row["interval"][1]
    shown = ready(*(word for word in words if word != "--json"))
    assert "raw log ratio" in shown.out


def test_unknown_names_are_refused_before_text_is_read(ready, monkeypatch):
    read = []
    monkeypatch.setattr(WholeMove, "check_text", lambda _: read.append(1))
    for words, named in (
        (("ablate", "magic"), "magic"),
        (("ablate", "objectives", "--only", "kd,magic"), "magic"),
        (("ablate", "controls", "--modules", "nobody"), "nobody"),
        (("ablate", "shapes", "--only", "d16,square"), "square"),
        (("ablate", "ceiling", "--only", "d16", "--seeds", "2"), "--only, --seeds"),
        (("ablate", "ceiling", "--native", "none"), "--native"),
        (("ablate", "controls", "--only", "kd"), "--only"),
        (("ablate", "shapes", "--tokens", "64", "--native", "python"), "--tokens, --native"),
    ):
        ran = ready(*words, *MOVE)
        assert ran.code == 1
        assert named in json.dumps(ran.json)
    assert not read


def test_a_curve_has_three_systems_a_plot_and_a_crossing(ready, tmp_path):
    pytest.importorskip("matplotlib")
    before = stored(ready)
    ran = ready(
        "transfer", *MOVE, "--data", ready.corpus, "--curve", "0,600,2k", "--seeds", "2",
        "--steps", "3", "--eval-tokens", "2000", "--out", str(tmp_path / "plot"),
    )  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    report = ran.json
    assert report["budgets"] == [0, 600, 2000]
    assert {*report["curves"]} == {"moved", "random", "native"}
    assert report["curves"]["native"][0]["recovered"] == 0.0
    for points in report["curves"].values():
        assert [point["tokens"] for point in points] == report["budgets"]
        for point in points:
            assert len(point["by_seed"]) == 2
            assert point["interval"][0] <= point["recovered"] <= point["interval"][1]
    assert "crossing_tokens" in report
    assert (tmp_path / "plot" / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "plot" / "curve.json").read_text())["budgets"] == [0, 600, 2000]
    assert stored(ready) == before


def test_every_draw_of_a_curve_reads_the_same_pairs_once(ready, monkeypatch, tmp_path):
    from transplant.calibration import move

    asked = []

    def pair_for_move(*given, **named):
        asked.append(given)
        return paired(*given, **named)

    paired = move.pair_for_move
    monkeypatch.setattr(move, "pair_for_move", pair_for_move)
    ran = ready(
        "transfer", *MOVE, "--data", ready.corpus, "--curve", "600", "--seeds", "2",
        "--steps", "3", "--eval-tokens", "2000", "--out", str(tmp_path),
    )  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    assert len(asked) == 1


def test_a_curve_that_was_stopped_goes_on_where_it_was(ready, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    words = [
        "transfer", *MOVE, "--data", ready.corpus, "--seeds", "2", "--steps", "3",
        "--eval-tokens", "2000",
    ]  # fmt: skip
    one = [*words, "--curve", "0,600", "--out", str(tmp_path / "one")]
    whole = ready(*words, "--curve", "0,600", "--out", str(tmp_path / "whole")).json["rows"]
    learned, learn, stops = [], Trials.learn, ["random/600/1"]

    def stopped(trials, name, *given, **named):
        if name in stops:
            raise KeyboardInterrupt
        learned.append(name)
        return learn(trials, name, *given, **named)

    monkeypatch.setattr(Trials, "learn", stopped)
    assert ready(*one).code == 130
    (cells,) = (tmp_path / "one" / "curve-cells").iterdir()
    assert {file.name for file in cells.iterdir()} == {"0-0.json", "600-0.json", "0-1.json"}
    learned.clear()
    stops.clear()
    again = ready(*one)  # the first seed's two are not learned again
    assert again.code == 0, again.out + again.err
    assert learned == ["moved/600/1", "random/600/1"]

    def told(rows):
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

    assert told(again.json["rows"]) == told(whole)
    learned.clear()
    other = ready(*one, "--chunks", "0.1")  # another lesson: none of these cells is its own
    assert other.code == 0, other.out + other.err
    assert learned == [f"{whose}/600/{seed}" for seed in (0, 1) for whose in ("moved", "random")]


def test_what_belongs_to_a_curve_is_refused_without_one(ready):
    for words in (("--seeds", "2"), ("--out", "."), ("--steps", "3"), ("--chunks", "0.1")):
        ran = ready("transfer", *MOVE, *words)
        assert ran.code == 1
        assert "curve" in ran.json["what"]
