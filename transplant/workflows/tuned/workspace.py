"""The part of the front door that moves: a module, a tuned copy, or what several donors learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transplant.validation import check_several
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.calibration.config import MoveConfig
    from transplant.calibration.students.recipe import LoraRecipe
    from transplant.workflows.move.whole import WholeMove
    from transplant.workflows.tuned.taught import WholeTaughtMove
    from transplant.workflows.tuned.whole import WholeTunedMove


class MoveWorkspace(Work):
    """Moves, by names; their steps run when they are first asked for. See `Workspace`."""

    def move(
        self,
        module: str,
        to: str,
        *,
        pair_on: str = "prose",
        domain_data: str | None = None,
        config: MoveConfig | None = None,
        name: str | None = None,
        text_free: bool = False,
        general: str | None = None,
    ) -> WholeMove:
        """A move of a module to another backbone; its steps run when they are first asked for.

        Args:
            module: the hosted module, as `python@ref-gpt2`.
            to: the target backbone.
            pair_on: the text to pair on; `donor` for text that the donor generates.
            domain_data: the domain's text; by default what the module was trained on.
            config: how to fit.
            name: of the moved module; by default `<module>-from-<donor>`.
            text_free: whether what the donor writes, which is synthetic, stands in for the domain's
                text wherever something is learned or chosen.
            general: a module of general text in the donor, as `prose@ref-gpt2`: how much of the
                donor's change it explains is reported; `config.less_general` of it is taken away.
        """
        from transplant.calibration.config import MoveConfig
        from transplant.workflows.move.whole import WholeMove

        config = config or MoveConfig(seed=self.seed)
        return WholeMove(
            self, module, to, pair_on, domain_data, config, name, text_free=text_free,
            general=general,
        )  # fmt: skip

    def move_tuned(
        self,
        donor: str,
        tuned: str,
        to: str,
        *,
        domain: str,
        student: str = "linear",
        students: Sequence[str] | None = None,
        pair_on: str = "prose",
        domain_data: str | None = None,
        config: MoveConfig | None = None,
        name: str | None = None,
        other_base: bool = False,
        lora: LoraRecipe | None = None,
        basis: str | None = None,
        text_free: bool = False,
        general: str | None = None,
    ) -> WholeTunedMove:
        """A move of what a LoRA or a fine-tuned model learned; its steps run when asked for.

        Args:
            donor: the base that was tuned.
            tuned: the tuned copy: a folder that PEFT or `save_pretrained` wrote, a hub id, a
                backbone of the library, or what is hosted on the base, as `law@ref-gpt2`.
            to: the target backbone.
            domain: what the tuned copy is about; the text of that name where none is given.
            student: what learns from it in the target.
            students: of the student `auto`: those that are tried, as `("linear", "lora")`; None for
                all but a LoRA on a CPU, of which every step runs all of the target.
            pair_on: the text to pair on; `donor` for text that the tuned copy generates.
            domain_data: the domain's text: counted, to choose gains by, and to judge on.
            config: how to fit.
            name: of the student; by default `<tuned>-from-<donor>`.
            other_base: whether a LoRA that was trained on another base is meant.
            lora: the recipe of the student `lora`.
            basis: of the student `basis`: one of the target, as `code@ref-llama`.
            text_free: as for `move`; first tokens are drawn from the counts that a module of the
                library carries.
            general: as for `move`.

        Raises:
            InputError: no such student.
        """
        from transplant.calibration.config import MoveConfig
        from transplant.calibration.students.recipe import LoraRecipe
        from transplant.workflows.tuned.whole import WholeTunedMove

        check_several(students=students)
        config = config or MoveConfig(seed=self.seed)
        return WholeTunedMove(
            self, tuned, to, pair_on, domain_data, config, name,
            base=donor, domain=domain, student=student,
            students=None if students is None else tuple(students), other_base=other_base,
            lora=lora or LoraRecipe(), basis=basis, text_free=text_free, general=general,
        )  # fmt: skip

    def move_taught(
        self, teachers: Sequence[str], to: str, *, domain: str, student: str = "linear",
        students: Sequence[str] | None = None, pair_on: str = "prose",
        domain_data: str | None = None, config: MoveConfig | None = None,
        name: str | None = None, other_base: bool = False, lora: LoraRecipe | None = None,
        text_free: bool = False,
    ) -> WholeTaughtMove:  # fmt: skip
        """A move of what several donors learned, as one teacher: their changes are averaged.

        Args:
            teachers: two or more parts of the library, as `python@ref-gpt2`, or tuned copies as
                `move_tuned` takes them, as `./my-lora@ref-gpt2`; on one backbone or on several, of
                one tokenizer or not.
            to: the target backbone.
            domain: what they are about; the other parameters are those of `move_tuned`.
            student: what learns from them in the target.
            students: as for `move_tuned`.
            pair_on: the text to pair on; `donor` for text that they generate, each an equal part.
            domain_data: the domain's text.
            config: how to fit.
            name: of the student; by default `<domain>-from-<number>-teachers`.
            other_base: whether LoRAs that were trained on another base are meant.
            lora: the recipe of the student `lora`.
            text_free: as for `move_tuned`.

        Raises:
            InputError: fewer than two teachers, one without its base, or no such student.
        """
        from transplant.calibration.config import MoveConfig
        from transplant.calibration.students.recipe import LoraRecipe
        from transplant.workflows.tuned.taught import WholeTaughtMove

        check_several(teachers=teachers, students=students)
        names = tuple(teachers)
        return WholeTaughtMove(
            self, ",".join(names), to, pair_on, domain_data, config or MoveConfig(seed=self.seed),
            name, base=",".join(names), domain=domain, student=student, teachers=names,
            students=None if students is None else tuple(students), other_base=other_base,
            lora=lora or LoraRecipe(), text_free=text_free,
        )  # fmt: skip
