"""A move of what a fine-tune learned to another backbone, in steps that run when asked for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.students.spec import BASIS, COPY, LORA, MODULE, candidates_of
from transplant.errors import InputError, NotFoundError
from transplant.training.config import TrainConfig
from transplant.workflows.corpus import read_splits, windows_of
from transplant.workflows.move.inputs import MoveInputs

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.calibration.students.learned import Learned
    from transplant.calibration.students.lesson import Lesson
    from transplant.calibration.tuning import Choice
    from transplant.modules.linear import LinearCorrection
    from transplant.modules.tuned import TunedDonor
    from transplant.text.splits import Splits
    from transplant.workflows.tuned.directions import Directions
    from transplant.workflows.tuned.donor import Tuned

COUNTED = 400_000  # tokens of the domain's training split that weigh the map between the heads


@dataclass
class TunedMove(MoveInputs):
    """A base, a tuned copy of it, and a target that is to learn what the copy has learned.

    Of the domain's text the training split is counted, token by token: that weighs the map between
    the heads and chooses excerpts. The calibration split chooses gains; on the rest is judged.

    Args:
        base: the base's name; `module` is that of the tuned copy.
        domain: what the tuned copy is about.
        student: of `students.spec.STUDENTS`, or `auto`.
        students: of `auto`: the students that are tried; None for all but the slow.
        other_base: whether a LoRA that was trained on another base is meant.
        lora: the recipe of the student `lora`.
        basis: of the student `basis`: the name of one of the target, as `code@ref-llama`.
    """

    base: str = field(kw_only=True)
    domain: str = field(kw_only=True)
    student: str = field(default="linear", kw_only=True)
    students: tuple[str, ...] | None = field(default=None, kw_only=True)
    other_base: bool = field(default=False, kw_only=True)
    lora: LoraRecipe = field(default_factory=LoraRecipe, kw_only=True)
    basis: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuses a student that there is not, before anything is loaded."""
        super().__post_init__()
        self.candidates  # noqa: B018  refuses unknown ones
        if (self.student == BASIS) != (self.basis is not None):
            raise InputError(
                f"`student={self.student!r}`", expected="`student='basis'` and `basis` together",
                found="no basis" if self.basis is None else self.basis,
            )  # fmt: skip

    @property
    def candidates(self) -> tuple[str, ...]:
        """The students that may be fitted."""
        return candidates_of(self.student, self.students)

    @cached_property
    def _loaded(self) -> tuple[TunedDonor, Tuned]:
        from transplant.workflows.tuned.donor import load_donor

        return load_donor(
            self.work, self.base, self.module, other_base=self.other_base,
            with_module=MODULE in self.candidates,
        )  # fmt: skip

    @property
    def donor(self) -> TunedDonor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The base and its tuned copy."""
        return self._loaded[0]

    @property
    def tuned(self) -> Tuned:
        """What the tuned copy is."""
        return self._loaded[1]

    @property
    def moved_name(self) -> str:
        """The student's name in the registry."""
        return self.name or f"{_short(self.module)}-from-{_short(self.base)}"

    @property
    def domain_source(self) -> str:
        """Where the domain's text comes from."""
        return self.domain if self.domain_data is None else self.domain_data

    @cached_property
    def domain_text(self) -> Splits:
        """The domain's text, split as training by the default recipe splits it."""
        from transplant.text.limits import stream_chars

        recipe = TrainConfig()
        reach = stream_chars(train=recipe.train_tokens, calibration=recipe.calibration_tokens)
        return read_splits(self.work, self.domain_source, stream_chars=reach)

    @cached_property
    def token_counts(self) -> dict[str, int]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """How often each token of the donor occurs in the domain's training split.

        Where no text of the domain may be read: as what was tuned carries it, or as often as the
        tokens occur in what the donor writes.
        """
        base = self.donor.backbone
        carried = self.carried_counts(self.module, self.tuned) if self.text_free else None
        return carried or counts_in(self.learned_text, base)

    @property
    def first_counts(self) -> Mapping[str, int] | None:
        """What first tokens are drawn from; None where only the writing itself can be counted."""
        if not self.text_free:
            return self.token_counts
        return self.carried_counts(self.module, self.tuned)

    def carried_counts(self, name: str, tuned: Tuned) -> dict[str, int] | None:
        """The counts that stand in the manifest of a hosted tuned copy, where there are some."""
        made = self.work.find(name).manifest.made if tuned.kind == "hosted" else {}
        return made.get("token_counts") or None

    @property
    def d_abi(self) -> int:
        """The width of a new module's space: that of a native by the default recipe."""
        return TrainConfig().d_abi

    @property
    def module_widths(self) -> tuple[int, ...]:
        """d_abi of the module that a student may be: a new one's, and that of the donor's own."""
        own = self.source if MODULE in self.candidates else None
        if own is None or own.module is None:
            return (self.d_abi,)
        try:
            moved = self.work.module_manifest(own).d_abi or self.d_abi
        except NotFoundError:  # something else is hosted by that name
            return (self.d_abi,)
        return tuple(dict.fromkeys((self.d_abi, moved)))

    def check(self) -> None:
        """Loads donor and target, and refuses what could not be taught.

        Raises:
            InputError: what is no donor, students that it has not what they need for, or maps that
            the target has not.
            CorpusError: pairing text that cannot be split.
            MemoryLimitError: fits that memory does not hold.
        """
        from transplant.calibration.students.copy import check_copy
        from transplant.calibration.students.table import check_named

        donor = self.donor  # loaded here
        check_named(self.students or (), donor, self.target, self.lora)
        if self.student == COPY:
            check_copy(donor, self.target, self.lora)
        self.general_part  # noqa: B018  a module that is not there, too
        self.check_text()
        self._check_writer()
        self.check_memory()
        self.directions  # noqa: B018  those of `basis`
        if LORA in self.candidates:
            from transplant.surgery.lora.start import adapted_maps

            adapted_maps(self.target, self.lora.rank, self.lora.alpha, self.lora.targets)

    def _check_writer(self) -> None:
        from transplant.calibration.donor_text import start_of_texts

        if self.text_free and self.first_counts is None:
            start_of_texts(self.donor, alone=True)

    @cached_property
    def lesson(self) -> Lesson:
        """What the student learns from."""
        from transplant.calibration.students.lesson import Lesson

        return Lesson(
            self.pairing, self.output_map, self.calibration_text, self.fitting, self.d_abi,
            self.lora, self.directions.subspaces if self.directions else None,
        )  # fmt: skip

    @cached_property
    def directions(self) -> Directions | None:
        """Where the student `basis` may change the target.

        Raises:
            NotFoundError: no such basis.
            InputError: it is of another backbone, or has no ranks.
        """
        from transplant.workflows.tuned.directions import read_directions

        return None if self.basis is None else read_directions(self.work, self.basis, self.target)

    @cached_property
    def linear(self) -> Choice[LinearCorrection]:
        """The linear student: one of the students, and what the controls are compared with."""
        from transplant.calibration.students.linear import fit_linear

        lesson = self.lesson
        with self.target.frozen(), self.step("calibrate") as progress:
            return fit_linear(lesson, progress=progress)

    @cached_property
    def learned(self) -> Learned:
        """The student, as it was asked for."""
        from transplant.calibration.students.table import fit_student

        lesson, linear = self.lesson, self.linear
        with self.target.frozen(), self.step("teach"):
            return fit_student(
                self.student, lesson, linear, students=self.students,
                reporter=self.work.reporter,
                linear_seconds=self.seconds.get("calibrate", 0.0),
            )  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """How it was made."""
        return self.work.made(
            config=dataclasses.asdict(self.fitting),
            student=self.student,
            **({"students": [*self.candidates]} if self.students else {}),
            donor={"base": self.base, "tuned": self.module, "kind": self.tuned.kind,
                   **self._head_facts, **self.tuned.facts},
            pairing_corpus=self.data,
            pairing_split=self.pairing_split,
            **self.text_facts,
            **({"general": self.general} if self.general else {}),
            corpus=self.domain_source,
            split=self.domain_split,
        )  # fmt: skip

    @property
    def _head_facts(self) -> dict[str, Any]:
        return {"one_head": self.donor.pair.one_head}

    def parents(self) -> dict[str, str]:
        """What it was made from."""
        found = {"tuned": self.tuned.sha256, "donor_backbone": self.donor.backbone.weights_sha256}
        return found | ({"basis": self.directions.sha256} if self.directions else {})


def counts_in(text: Splits, backbone: Backbone) -> dict[str, int]:
    """How often each token of a backbone occurs in the training split of a text."""
    from transplant.alignment.tokens import count_tokens

    windows = windows_of(backbone, text.train, 512, COUNTED)
    return count_tokens((i for window in windows for i in window.ids), backbone.tokenizer)


def _short(name: str) -> str:
    """A name without the folders before it, of the characters that names have."""
    last = name.partition("@")[0].rstrip("/").rpartition("/")[2]
    short = re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip("._-")
    if not short:
        raise InputError(f"{name!r} gives no name", hint="`name='NAME'`")
    return short
