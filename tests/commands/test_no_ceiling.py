"""A native that gains nothing: every verb prints `no ceiling`, and JSON holds null and a reason."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

from tests.commands.conftest import Abi
from transplant.evaluation.likelihood import Likelihood
from transplant.pictures.curve import draw_curve
from transplant.pictures.demo import rows_of, write_demo
from transplant.pictures.figures import as_png
from transplant.tables.ablation import ablation_table, ceiling_table
from transplant.tables.curve import curve_table
from transplant.tables.transfer import transfer_table
from transplant.workflows.move import ceiling
from transplant.workflows.move.ablation import means_over_seeds, reason_of

WHY = "no ceiling: the native gains 0.0000 nats per token"
MOVE = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--native", "flat")
FEW = ("--excerpts", "40", "--eval-tokens", "2000")


@pytest.fixture(scope="module")
def flat(trained_abi, tmp_path_factory) -> Abi:
    """A registry whose native `flat` on tiny-llama has learned nothing."""
    root = tmp_path_factory.mktemp("flat") / "registry"
    shutil.copytree(trained_abi.root, root)
    abi = Abi(root, trained_abi.corpus)
    ran = abi.train("tiny-llama", "--name", "flat", "--learning-rate", "1e-30")
    assert ran.code == 0, ran.err
    return abi


def shown(table) -> str:
    """A table as text, on one line."""
    return " ".join(str(table).split())


def test_objectives_and_controls_have_none(flat):
    ran = flat(
        "ablate", "controls", *MOVE, *FEW, "--data", flat.corpus, "--steps", "1", "--tokens",
        "600", "--modules", "donor", "--seeds", "2", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    for row in (*ran.json["rows"], *ran.json["means"]):
        assert row["recovered"] is row["interval"] is None
        assert row["ppl"] > 1
    assert ran.json["no_ceiling"].startswith(WHY)
    text = shown(ablation_table(ran.json))
    assert text.count("no ceiling") == len(ran.json["means"]) + 1
    assert WHY in text


def test_means_of_rows_with_a_ceiling_stay_numbers():
    row = {"objective": "kd", "from": "new", "module": "donor", "needs": [], "ppl": 2.0,
           "seconds": 1.0, "seed": 0, "nib": {"pass": None}}  # fmt: skip
    with_one = [{**row, "recovered": 0.5, "interval": [0.4, 0.6]}] * 2
    assert means_over_seeds(with_one)[0]["recovered"] == 0.5
    assert reason_of(with_one) == {}
    none = [{**row, "recovered": None, "interval": None, "no_ceiling": WHY}] * 2
    assert means_over_seeds(none)[0]["recovered"] is None
    assert reason_of(none) == {"no_ceiling": WHY}


def test_the_ceiling_side_by_side_has_none(monkeypatch):
    nats, tokens = torch.tensor([40.0, 44.0]).double(), torch.full((2,), 10.0).double()
    found = dict.fromkeys(("raw", "native", "moved", "random"), Likelihood(nats, tokens))
    scores = SimpleNamespace(likelihoods=found, paired_share=0.5)
    monkeypatch.setattr(ceiling, "_best_weights", lambda *_: {})
    monkeypatch.setattr(ceiling, "score_move_beside", lambda *_: scores)
    report = ceiling.ceiling_report(MagicMock())
    assert [row["recovered"] for row in report["rows"]] == [None] * 4
    assert report["no_ceiling"].startswith(WHY)
    named = {key: report[key] for key in ("rows", "paired_share", "no_ceiling")}
    text = shown(ceiling_table({**named, "donor": "a", "target": "b"}))
    assert text.count("no ceiling") == 5
    assert "the donor predicts at" in text


def test_a_curve_has_none_and_its_plot_no_line(flat, tmp_path):
    pytest.importorskip("matplotlib")
    ran = flat(
        "transfer", *MOVE, *FEW, "--data", flat.corpus, "--curve", "0,600", "--steps", "1",
        "--out", str(tmp_path), "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    report = ran.json
    for points in report["curves"].values():
        for point in points:
            assert point["recovered"] is point["interval"] is None
            assert point["by_seed"] == [None]
    assert report["crossing_tokens"] is None
    assert report["no_ceiling"].startswith(WHY)
    assert json.loads((tmp_path / "curve.json").read_text())["no_ceiling"] == report["no_ceiling"]
    text = shown(curve_table(report))
    assert WHY in text
    assert "catch" not in text
    picture = (tmp_path / "curve.png").read_bytes()
    numbers = [{"tokens": tokens, "recovered": 0.5, "interval": None} for tokens in (0, 600)]
    curves = dict.fromkeys(report["curves"], numbers)
    with_lines = {**report, "curves": curves}
    assert as_png(draw_curve(with_lines)) == picture  # no number is drawn without a ceiling
    del with_lines["no_ceiling"]
    assert as_png(draw_curve(with_lines)) != picture


def test_a_transfer_has_none_and_verify_reproduces_that(flat, tmp_path):
    ran = flat("transfer", *MOVE, *FEW, "--data", flat.corpus, "--name", "moved", "--json")
    assert ran.code == 0, ran.err
    assert {*ran.json["recovered"].values()} == {None}
    assert WHY in shown(transfer_table(ran.json))
    plan = {
        "domain": "tales",
        "donor": "tiny-gpt2",
        "data": "tales",
        "pair_on": None,
        "train": {"steps": 20},
    }
    moves = [{**ran.json, "native_gains": 0.0}]
    page = write_demo(tmp_path / "page", {"moves": moves, "plan": plan, "seconds": 1.0}).read_text()
    assert WHY in page
    assert "<svg" not in page
    assert all(row["recovered"] in ("no ceiling", "") for row in rows_of(ran.json))

    def verify(**changes):
        record = tmp_path / "record.json"
        record.write_text(json.dumps({**ran.json, **changes}))
        return flat("verify", "--record", str(record), "--json")

    again = verify()
    assert (again.code, again.json["verdict"]) == (0, "reproduced")
    (move,) = again.json["moves"]
    assert move["no_ceiling"].startswith(WHY)
    shares = [found for found in move["numbers"] if found["name"].startswith("recovered.")]
    assert {found["recomputed"] for found in shares} == {None}
    # An older version has recorded a number: it is read, and not shown as one.
    older = verify(recovered={**ran.json["recovered"], "candidate": -33.1})
    assert older.code == 0
    record = str(tmp_path / "record.json")
    assert "33.1" not in flat("verify", "--record", record).out
    changed = verify(ppl={**ran.json["ppl"], "candidate": 3.0})
    assert (changed.code, changed.json["verdict"]) == (3, "mismatch")


def test_benchmarks_print_none_as_well_and_reach_no_goal_by_it(capsys):
    from tests.benchmarks import bench_invariance, bench_transfer, shares

    assert shares.mean([0.5, 0.7]) == pytest.approx(0.6)
    assert shares.mean([0.5, None]) is shares.mean([]) is None
    assert shares.at_least(0.5, 0.5)
    assert not shares.at_least(None, -1.0)
    assert not shares.below(None, 1.0)
    move = {
        "donor": "python-0@ref-gpt2", "target": "ref-llama", "data": "prose", "seed": 0,
        "recovered": {"candidate": None, "random_module": None},
        "donor_attributable": None, "module_attributable": None,
    }  # fmt: skip
    assert "candidate no ceiling" in bench_transfer.summary(move)
    assert len(bench_transfer.show([move, move], "ref-gpt2:ref-llama", "prose")) == 4
    assert bench_transfer.show([], "a:b", "prose") == ["a:b by prose: not measured"]
    good = {"candidate": 0.9, "random_module": 0.0}
    good = {**move, "recovered": good, "donor_attributable": 0.9, "module_attributable": 0.5}
    assert bench_transfer.show([good, good], "ref-gpt2:ref-llama", "prose") == []  # control
    goals = bench_invariance.Goals()
    gate = {"m": {"general_worsens": 0.1, "general_worsens_ungated": 9.0, "kept": None}}
    row = {"round": 1, "gate": {"zero_shot": gate}}
    row["efficacy"] = {"m": {"zero_shot": None, "repaired": None}}
    bench_invariance.report_round("b", row, goals)
    assert [line.partition(",")[0] for line in goals.missed] == [
        "efficacy", "gain kept by the gate",
    ]  # fmt: skip
    assert capsys.readouterr().out.count("no ceiling") == 6 + 2
