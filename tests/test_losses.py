"""Losses of training runs: recorded once each, thinned, and passed on."""

from __future__ import annotations

from transplant.losses import KEPT, LossNote, LossRecord, RecordingReporter
from transplant.progress import SilentReporter


class Sink(list):
    def log(self, values, step):
        self.append((step, dict(values)))


def run(reporter, title, losses):
    with reporter.progress(title) as progress:
        for step, loss in enumerate(losses, 1):
            progress(step, len(losses), LossNote(loss, held=loss + 1 if step % 2 == 0 else None))


def test_a_note_is_a_text_and_its_losses():
    note = LossNote(2.0, 1.5, held=1.6)
    assert note == "loss 2.000, best held 1.500"
    assert (note.loss, note.held) == (2.0, 1.6)


def test_losses_are_recorded_and_passed_on_and_other_notes_are_not():
    records, sink = {}, Sink()
    reporter = RecordingReporter(SilentReporter(), records, (sink,))
    run(reporter, "a", [3.0, 2.0])
    with reporter.progress("b") as progress:
        progress(1, 1, "loss 9.0")  # a text alone
    assert {title: it.to_dict() for title, it in records.items()} == {
        "a": {"steps": [1, 2], "loss": [3.0, 2.0], "held": [[2, 3.0]], "nats": True}
    }
    assert sink == [(1, {"a/loss": 3.0}), (2, {"a/loss": 2.0, "a/held": 3.0})]


def test_a_second_run_of_a_title_is_told_apart_from_the_first():
    sink = Sink()
    reporter = RecordingReporter(SilentReporter(), {}, (sink,))
    for losses in ([3.0, 2.0], [1.0]):
        run(reporter, "updating", losses)
    assert [(step, name) for step, values in sink for name in values if "loss" in name] == [
        (1, "updating/loss"), (2, "updating/loss"), (1, "updating 2/loss"),
    ]  # fmt: skip


def test_what_a_manifest_has_is_not_kept_with_the_next_artifact():
    records = {}
    reporter = RecordingReporter(SilentReporter(), records)
    run(reporter, "native", [3.0])
    run(reporter, "moved", [2.0])
    assert [*records] == ["native", "moved"]
    reporter.kept = True
    run(reporter, "other", [1.0])
    assert [*records] == ["other"]


def test_a_run_that_goes_on_has_the_losses_before_the_interruption_once():
    record, before = LossRecord(), [(1, 3.0, None), (2, 2.0, 2.5)]
    for step, loss in ((3, 1.5), (4, 1.0)):
        record.add(step, LossNote(loss, before=before))
    kept = record.to_dict()
    assert (kept["steps"], kept["loss"]) == ([1, 2, 3, 4], [3.0, 2.0, 1.5, 1.0])
    assert kept["held"] == [[2, 2.5]]


def test_a_long_run_is_thinned_evenly_and_keeps_its_end_and_every_look():
    record = LossRecord()
    for step in range(1, 1002):
        record.add(step, LossNote(1 / step, held=1.0 if step % 100 == 0 else None))
    kept = record.to_dict()
    assert len(kept["steps"]) <= KEPT
    assert kept["steps"][-1] == 1001
    assert {b - a for a, b in zip(kept["steps"], kept["steps"][1:], strict=False)} == {6}
    assert [step for step, _ in kept["held"]] == [*range(100, 1001, 100)]
