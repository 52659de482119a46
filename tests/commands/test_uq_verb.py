"""abi uq and abi route-sim: files, numbers, and the router that does what was simulated."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from transplant.files.result_kinds import kind_of

SHORT = ("--eval-tokens", "1500", "--window", "64")
WORDS = (*SHORT, "--members", "3")


@pytest.fixture(scope="module")
def measured(trained_abi, tmp_path_factory):
    """A module beside its raw backbone."""
    out = tmp_path_factory.mktemp("uq") / "made"
    ran = trained_abi(
        "uq", "--model", "tales@tiny-gpt2", "--baseline", "tiny-gpt2", *WORDS, "--scale", "0.3",
        "--out", str(out), "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    return out, ran.json


def test_files_are_written_and_the_report_sums_them_up(measured):
    out, report = measured
    assert sorted(path.name for path in out.iterdir()) == [
        "index.html", "metrics.json", "reliability.png", "report.json",
    ]  # fmt: skip
    assert (out / "reliability.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "index.html").read_text()
    assert "data:image/png;base64," in page
    assert "http" not in page
    metrics = json.loads((out / "metrics.json").read_text())
    assert (kind_of(report), kind_of(metrics)) == ("uncertainty", "metrics")
    tokens = metrics["tokens"]
    assert {len(column) for column in tokens.values()} == {report["tokens"]}
    assert sum(row["tokens"] for row in metrics["documents"]) == report["tokens"]
    for name in ("nats", "entropy", "mutual_information", "predictive_entropy"):
        assert report[name]["mean"] == pytest.approx(np.mean(tokens[name]))
    assert report["baseline_nats"] == pytest.approx(np.mean(tokens["baseline_nats"]))
    assert report["method"] == "perturb"
    assert report["mutual_information"]["mean"] > 0
    own = [np.mean(np.asarray(tokens["nats"])[np.asarray(tokens["document"]) == 0])]
    assert metrics["documents"][0]["nats"] == pytest.approx(own[0])


def test_a_raw_model_and_an_ensemble_are_measured(trained_abi, tmp_path):
    for name, more in (
        ("tiny-t5", ("--data", trained_abi.corpus, "--members", "3")),
        ("tales@tiny-gpt2", ("--ensemble", "tiny-gpt2")),
    ):
        ran = trained_abi("uq", "--model", name, *more, *SHORT, "--out", str(tmp_path), "--json")
        assert ran.code == 0, ran.err
        assert ran.json["method"] == ("ensemble" if "--ensemble" in more else "perturb")
        assert 0 < ran.json["calibration"]["ece"] < 1


def test_a_folder_is_a_baseline_and_a_member_as_it_is_a_model(trained_abi, tmp_path):
    folder = tmp_path / "my own"
    folder.mkdir()
    for file in (trained_abi.root / "tiny-gpt2").iterdir():
        if file.is_file() and file.name != "manifest.json":
            shutil.copyfile(file, folder / file.name)
    beside = ("--baseline", str(folder), "--ensemble", str(folder))
    words = ("uq", "--data", trained_abi.corpus, "--eval-tokens", "200", "--window", "64", "--json")
    found = [
        trained_abi(*words, "--model", model, *more, "--out", str(tmp_path / "out"))
        for model, more in (("tales@tiny-gpt2", beside), (str(folder), ()))
    ]
    assert [ran.code for ran in found] == [0, 0], found[0].err + found[1].err
    as_baseline, as_model = (ran.json for ran in found)
    assert as_baseline["method"] == "ensemble"
    assert as_baseline["baseline_nats"] == pytest.approx(as_model["nats"]["mean"])


def test_a_diagram_has_as_many_bins_as_are_asked_for(trained_abi, tmp_path):
    words = ("uq", "--model", "tales@tiny-gpt2", "--eval-tokens", "200", "--window", "64",
             "--members", "2", "--out", str(tmp_path), "--json")  # fmt: skip
    for count in (2, 7):
        ran = trained_abi(*words, "--bins", str(count))
        assert ran.code == 0, ran.err
        bins = ran.json["calibration"]["bins"]
        assert sum(one["count"] for one in bins) == ran.json["tokens"]
        edges = [one["from"] * count for one in bins]
        assert edges == pytest.approx([*map(round, edges)])
        assert max(one["confidence"] - one["from"] for one in bins) <= 1 / count
    refused = trained_abi(*words, "--bins", "0")
    assert (refused.code, "--bins" in refused.json["what"]) == (1, True)


def test_a_threshold_is_chosen_and_judged(measured, trained_abi, tmp_path):
    out, report = measured
    words = ("route-sim", "--metrics", str(out / "metrics.json"))
    ran = trained_abi(*words, "--sweep", "--budget", "0.02", "--out", str(tmp_path), "--json")
    assert ran.code == 0, ran.err
    found = ran.json
    assert kind_of(found) == "route"
    assert (tmp_path / "route.png").read_bytes().startswith(b"\x89PNG")
    gain = found["areas"]["selective"]
    low, high = gain["interval"]
    assert low < gain["nats"] < high
    assert found["curve"][-1]["routed"] == pytest.approx(report["nats"]["mean"])
    assert found["curve"][0]["routed"] == pytest.approx(report["baseline_nats"])
    assert found["made"]["options"]["budget"] == 0.02
    given = trained_abi(*words, "--tau", "0", "--json").json
    assert (given["coverage"], given["regress"]["nats"]) == (0.0, 0.0)
    assert given["nats"]["routed"] == given["nats"]["baseline"]
    assert "AUROC" in trained_abi("uq", "--model", "tales@tiny-gpt2", *WORDS, "--out",
                                  str(tmp_path)).out  # fmt: skip
    assert "coverage" in trained_abi(*words).out


def test_the_router_does_what_was_simulated(measured, trained_abi):
    import transplant
    from registry.store import Registry

    out, _ = measured
    metrics = json.loads((out / "metrics.json").read_text())["tokens"]
    tau = float(np.median(metrics["entropy"]))
    words = ("route-sim", "--metrics", str(out / "metrics.json"), "--tau", repr(tau), "--json")
    simulated = trained_abi(*words).json
    library = Registry.open(trained_abi.root)
    router = transplant.load("tales@tiny-gpt2|tiny-gpt2", route=tau, library=library)

    from transplant.workflows.corpus import read_as_needed, windows_of
    from transplant.workspace import Workspace

    work = Workspace(library=library)
    splits = read_as_needed(work, trained_abi.corpus, evaluation=1500)
    windows = windows_of(router.model.backbone, splits.eval, 64, 1500)
    nats = []
    for window in windows:
        ids = torch.tensor([list(window.ids)])
        logits = router(ids).logits[0, :-1].double()
        nats.append(-logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0])
    costs = torch.cat(nats)
    assert len(costs) == simulated["tokens"]
    assert float(costs.mean()) == pytest.approx(simulated["nats"]["routed"], rel=1e-5)
    assert simulated["nats"]["model"] != pytest.approx(simulated["nats"]["routed"], rel=1e-3)
    text = router.generate(ids[:, :8], max_new_tokens=5, do_sample=False)
    assert text.shape == (1, 13)
    assert router.tokenizer is router.model.tokenizer


def test_what_cannot_be_is_refused_by_name(measured, trained_abi, tmp_path):
    import transplant
    from registry.store import Registry
    from transplant.errors import InputError

    out, _ = measured
    (tmp_path / "other.json").write_text('{"format": "x"}')
    (tmp_path / "broken.json").write_text("{")
    alone = json.loads((out / "metrics.json").read_text())
    del alone["baseline"]
    (tmp_path / "alone.json").write_text(json.dumps(alone))

    def refused(*words):
        ran = trained_abi(*words, "--json")
        assert ran.code == 1, ran.out
        return f"{ran.json['what']} {ran.json['hint']}"

    for name in ("other.json", "broken.json", "missing.json"):
        assert name in refused("route-sim", "--metrics", str(tmp_path / name))
    assert "abi uq --baseline" in refused("route-sim", "--metrics", str(tmp_path / "alone.json"))
    metrics = ("route-sim", "--metrics", str(out / "metrics.json"))
    assert "--tau and --sweep" in refused(*metrics, "--tau", "1", "--sweep")
    assert "--by" in refused(*metrics, "--by", "doubt")
    uq = ("uq", "--out", str(tmp_path / "uq"), "--model", "tiny-gpt2")
    assert "no domain" in refused(*uq)
    assert "--method" in refused(*uq, "--data", trained_abi.corpus, "--method", "guess")
    assert "no dropout" in refused(*uq, "--data", trained_abi.corpus, "--method", "dropout")
    llama = ("--data", trained_abi.corpus, "--baseline", "tiny-llama")
    assert "other tokens" in refused(*uq, *llama)
    assert not (tmp_path / "uq").exists()
    library = Registry.open(trained_abi.root)
    for name, route in (("tiny-gpt2", 1.0), ("tiny-gpt2|tiny-llama", 1.0), ("a|b", None)):
        with pytest.raises(InputError):
            transplant.load(name, route=route, library=library)
