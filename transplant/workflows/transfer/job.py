"""A transfer as it is asked for, checked before anything is loaded; no torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.students.spec import (
    AUTO,
    BASIS,
    COPY,
    LINEAR,
    LORA,
    MODULE,
    candidates_of,
)
from transplant.errors import InputError

OF_LORA = ("lora_rank", "lora_alpha", "lora_targets", "lora_steps")
TAKEN = {BASIS: ("lora_steps",), COPY: ("lora_rank", "lora_targets")}
"""What other students take of these: `copy` to cut a full fine-tune to."""


@dataclass(frozen=True, kw_only=True)
class TransferJob:
    """What is moved where: a module, or what a tuned copy or several teachers have learned.

    `module` is moved as it is, and nothing else but the texts, `name`, `text_free` and `general`
    goes with it. Of `donor` with `tuned`, or of `teachers`, a student of the target learns.
    """

    module: str | None = None
    """The module to move, as `python@ref-gpt2`."""
    to: str
    """The backbone it moves to."""
    donor: str | None = None
    """In place of `module`: the base that was tuned."""
    tuned: str | None = None
    """With `donor`: its tuned copy: a folder of PEFT or of save_pretrained, a hub id, a backbone of
    the library, or NAME@DONOR."""
    teachers: tuple[str, ...] | None = None
    """In place of `module`: several tuned copies as one teacher, of one tokenizer or not: as
    python@ref-gpt2,python@ref-gpt2-b of the library, or TUNED@BASE of whatever `tuned` takes, as
    ./my-lora@ref-gpt2; a comma in the name of a folder is written \\,. Their changes are
    averaged in the target's vocabulary."""
    domain: str | None = None
    """With `donor` or `teachers`: what was learned is about, as python; None for `name`."""
    student: str | None = None
    """What learns from it, of `STUDENTS`; None for `auto`, of a module for the module itself."""
    students: tuple[str, ...] | None = None
    """Of the student auto: those that are tried, as linear,lora; None for all that the donor has
    what they need for, but lora on a CPU: every step of it runs all of the target."""
    basis: str | None = None
    """Of the student basis: the basis of the target that it stays in, as code@ref-llama."""
    other_base: bool = False
    """Take a LoRA though it records that it was trained on another base."""
    no_intercept: bool = False
    """The student linear adds no constant: of the last layer alone it can be exported as a LoRA
    that merges."""
    lora_rank: int | None = None
    """Of the student lora: its rank, or of copy that of a full fine-tune that is cut to one; None
    for that of `LoraRecipe`, as of the next three."""
    lora_alpha: float | None = None
    """Of the student lora: B A counts alpha / rank."""
    lora_targets: tuple[str, ...] | None = None
    """Of lora and copy: the linear maps that are changed, as q_proj,v_proj; None for all but the
    head."""
    lora_steps: int | None = None
    """Of lora and basis: gradient steps at most."""
    data: str = "prose"
    """Text to pair on: prose, python, a file, a folder, a data set; donor for what the donor
    itself writes."""
    domain_data: str | None = None
    """The module's domain text; None for what it was trained on."""
    text_free: bool = False
    """With `data` donor: what the donor writes, synthetic text, stands in for the domain's wherever
     something is learned or chosen; the domain's is judged on alone."""
    general: str | None = None
    """A module of general text in the donor, as `prose@ref-gpt2`: prints how much of the donor's
    change it explains."""
    name: str | None = None
    """Its name in the library; None for one that is made from the other names."""

    def __post_init__(self) -> None:
        """Refuses neither or both of what can be moved, and what belongs to the other.

        Raises:
            InputError: it names the parameter.
        """
        given = {"module": self.module, "donor": self.donor, "teachers": self.teachers}
        moved = [f"`{name}`" for name, value in given.items() if value is not None]
        if len(moved) != 1:
            raise InputError(
                "what is moved",
                expected="`module`, or `donor` with `tuned` and `domain`, or `teachers` with "
                "`domain`",
                found=f"both {' and '.join(moved)}" if moved else "neither",
            )
        if self.module is not None:
            self._check_module()
        elif self.moved is None:
            self._check_learned(moved[0])
        else:
            self._refuse("a student that learns", self._of_students, f"`student={MODULE!r}`")

    @property
    def moved(self) -> str | None:
        """The module that is moved as it is; None where a student learns."""
        if self.donor is not None and self.student == MODULE and "@" in (self.tuned or ""):
            return self.tuned  # it is refused by name where it is no module
        return self.module

    @property
    def about(self) -> str | None:
        """The domain of what was learned; of a module that is moved None."""
        return None if self.moved is not None else self.domain or self.name

    @property
    def recipe(self) -> LoraRecipe:
        """The recipe of the student lora, with what was asked for."""
        asked = {name.removeprefix("lora_"): value for name, value in self._of_lora.items()}
        return LoraRecipe(**{name: value for name, value in asked.items() if value is not None})

    @property
    def _of_lora(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in OF_LORA}

    @property
    def _of_students(self) -> dict[str, Any]:
        own = {name: getattr(self, name) or None for name in ("other_base", "no_intercept")}
        named = {"domain": self.domain, "students": self.students, "basis": self.basis}
        return {**named, **own, **self._of_lora}

    def _check_module(self) -> None:
        """Refuses, beside a module that is moved as it is, what a student would need."""
        self._refuse("`donor`", {"tuned": self.tuned, **self._of_students}, "`module`")
        if self.student not in (None, MODULE):
            raise InputError(
                f"`student={self.student!r}` learns from a tuned copy",
                expected="`donor='BACKBONE', tuned='MODULE@BACKBONE'`", found="`module`",
            )  # fmt: skip

    def _check_learned(self, source: str) -> None:
        """Refuses a donor or teachers without what they need, or with what others do."""
        if self.donor is not None and self.tuned is None:
            raise InputError("`donor`", expected="`tuned` beside it, its tuned copy")
        if self.teachers is not None:
            self._refuse("`donor`", {"tuned": self.tuned}, "`teachers`")
        if self.about is None:
            raise InputError(source, expected="`domain` beside it, as python, or `name` for both")
        if self.student != BASIS:
            self._refuse(f"`student={BASIS!r}`", {"basis": self.basis}, self.student or AUTO)
        elif self.basis is None:
            raise InputError("`student='basis'`", expected="`basis` beside it, one of the target")
        tried = candidates_of(self.student or AUTO, self.students)
        shown = ", ".join(tried)
        if LORA not in tried:
            taken = {name for student in tried for name in TAKEN.get(student, ())}
            idle = {name: value for name, value in self._of_lora.items() if name not in taken}
            self._refuse(f"`student={LORA!r}`", idle, shown)
        if LINEAR not in tried:
            idle = {"no_intercept": self.no_intercept or None}
            self._refuse(f"`student={LINEAR!r}`", idle, shown)
        if self.teachers is not None and self.general is not None:
            raise InputError("`general` belongs to one donor", found="`teachers`")

    def _refuse(self, owner: str, idle: Mapping[str, object], found: str | None) -> None:
        for name, value in idle.items():
            if value is not None:
                raise InputError(f"`{name}` belongs to {owner}", found=found)
