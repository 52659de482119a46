"""Trackers through accelerate: TensorBoard's files hold the losses; others are named."""

from __future__ import annotations

import warnings

import pytest

from transplant.errors import InputError, TransplantError
from transplant.trackers import MlflowSink, Tracking, WandbSink, open_trackers

pytest.importorskip("accelerate")


def scalars(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(folder)).Reload()
    return {
        name: [(it.step, round(it.value, 3)) for it in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def test_tensorboard_has_the_losses_of_each_step(tmp_path):
    pytest.importorskip("tensorboard")
    asked = [Tracking.of(f"tensorboard:{tmp_path}")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_trackers(asked, "a run", {"seed": 0, "data": None}) as sinks:
            for step, loss in ((1, 3.0), (2, 2.0)):
                sinks[0].log({"training/loss": loss}, step)
    assert scalars(tmp_path / "a run") == {"training/loss": [(1, 3.0), (2, 2.0)]}


@pytest.mark.parametrize("text", ["comet", "tensorboard", "tensorboard:", ""])
def test_another_tracker_is_refused(text):
    with pytest.raises(InputError, match="tensorboard:DIR"):
        Tracking.of(text)


def test_one_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(
        "transplant.trackers.find_spec", lambda name: None if name == "wandb" else object()
    )
    with pytest.raises(TransplantError, match="wandb is not installed.*pip install wandb"):
        Tracking.of("wandb:project")
    assert Tracking.of("mlflow") == Tracking("mlflow")


class Told(list):
    """In place of a tracker, and of its run: what they are told."""

    @property
    def tracker(self):
        return self

    def log(self, values, step=None):
        self.append((step, values))

    def define_metric(self, name, step_metric):
        self.append((name, step_metric))


def test_two_trainings_of_a_verb_have_steps_of_their_own_in_wandb():
    """Its own count of steps may not go back, or losses are dropped."""
    told = Told()
    sink = WandbSink(told)
    for title in ("training a@b", "the ceiling"):
        sink.log({f"{title}/loss": 3.0}, 1)
    sink.log({"the ceiling/loss": 2.0, "the ceiling/held": 2.5}, 2)
    assert told == [
        ("training a@b/*", "training a@b/step"),
        (None, {"training a@b/loss": 3.0, "training a@b/step": 1}),
        ("the ceiling/*", "the ceiling/step"),
        (None, {"the ceiling/loss": 3.0, "the ceiling/step": 1}),
        (None, {"the ceiling/loss": 2.0, "the ceiling/held": 2.5, "the ceiling/step": 2}),
    ]


def test_names_are_such_as_mlflow_takes():
    told = Told()
    MlflowSink(told).log({"training a@b/loss": 3.0}, 1)
    assert told == [(1, {"training a b/loss": 3.0})]


RUNS = (("training a@b", 1, 3.0), ("training a@b", 2, 2.0), ("the ceiling", 1, 4.0))


def send(asked):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_trackers([Tracking.of(asked)], "a run", {"seed": 0, "data": None}) as sinks:
            for title, step, loss in RUNS:
                sinks[0].log({f"{title}/loss": loss}, step)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_the_losses_of_each_step_in_the_folder_that_is_named(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    before = mlflow.get_tracking_uri()
    send(f"mlflow:{tmp_path / 'runs'}")
    assert mlflow.get_tracking_uri() == before
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    (experiment,) = (one for one in client.search_experiments() if one.name == "abi")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.data.params) == ("a run", {"seed": "0"})
    for title, _, _ in RUNS:
        kept = client.get_metric_history(run.info.run_id, f"{title.replace('@', ' ')}/loss")
        assert [(it.step, it.value) for it in kept] == [r[1:] for r in RUNS if r[0] == title]


@pytest.mark.filterwarnings("ignore")
def test_wandb_drops_no_step(tmp_path, monkeypatch, capfd):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    send("wandb:project")
    assert [*tmp_path.glob("wandb/offline-run-*/*.wandb")]
    said = capfd.readouterr().err
    assert "ignored" not in said
    for title in {title for title, _, _ in RUNS}:
        assert f"{title}/loss" in said
