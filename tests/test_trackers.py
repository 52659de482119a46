"""Trackers through accelerate: TensorBoard's files hold the losses; others are named."""

from __future__ import annotations

import warnings

import pytest

from transplant.errors import InputError, TransplantError
from transplant.trackers import Tracking, open_trackers

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
