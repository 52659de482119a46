"""`abi transfer`: what its help says of students, and options that do not belong together."""

from __future__ import annotations

import json

import pytest

from commands.options import transfer as transfer_options
from transplant.calibration.students.spec import STUDENTS

WHOLE = ("--to", "tiny-llama", "--donor", "tiny-gpt2", "--tuned", "tales@tiny-gpt2", "--student",
         "module")  # fmt: skip
TAUGHT = ("--to", "tiny-llama", "--donor", "tiny-gpt2", "--tuned", "x", "--domain", "tales")
CURVE = ("--to", "tiny-llama", "--module", "tales@tiny-gpt2", "--curve", "0,600")


def test_the_help_says_what_each_student_needs():
    told = " ".join(transfer_options.STUDENT.help.split())
    for name, spec in STUDENTS.items():
        own = told.partition(f"{name} (")[2].partition(spec.cost)[0]
        assert own, name
        for need in spec.needs:
            assert need in own, (name, need)
    of_basis = told.partition("basis (")[2].partition(STUDENTS["basis"].cost)[0]
    assert "needs a basis of the target that has ranks" in of_basis


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "tiny-llama"), "--module"),
        (("--to", "tiny-llama", "--donor", "tiny-gpt2"), "--tuned"),
        (("--to", "tiny-llama", "--donor", "tiny-gpt2", "--tuned", "x"), "--domain"),
        (("--to", "tiny-llama", "--module", "a@b", "--donor", "tiny-gpt2"), "both"),
        (("--to", "tiny-llama", "--module", "a@b", "--student", "linear"), "tuned copy"),
        (("--to", "tiny-llama", "--module", "a@b", "--lora-rank", "3"), "--lora-rank"),
        (("--to", "tiny-llama", "--donor", "tiny-gpt2", "--tuned", "x", "--domain", "tales",
          "--student", "linear", "--lora-rank", "3"), "--lora-rank"),
        (("--to", "tiny-llama", "--donor", "tiny-gpt2", "--tuned", "x", "--domain", "tales",
          "--student", "module"), "module"),
        (("--to", "tiny-llama", "--donor", "tiny-gpt2", "--tuned", "x", "--domain", "tales",
          "--curve", "0"), "--curve"),
        (("--to", "tiny-llama", "--teachers", "a@b,c@d"), "--domain"),
        (("--to", "tiny-llama", "--teachers", "a@b", "--module", "a@b"), "both"),
        (("--to", "tiny-llama", "--teachers", "a@b", "--domain", "tales"), "two or more"),
        (("--to", "tiny-llama", "--teachers", "a@b,c@d", "--domain", "tales", "--tuned", "x"),
         "--tuned"),
        ((*WHOLE, "--lora-rank", "3"), "--lora-rank"),
        ((*WHOLE, "--domain", "tales"), "--domain"),
        ((*WHOLE, "--no-intercept"), "--no-intercept"),
        ((*TAUGHT, "--student", "lora", "--no-intercept"), "--no-intercept"),
        ((*TAUGHT, "--method", "procrustes"), "--method"),
        (("--to", "tiny-llama", "--donor", "tiny-t5", "--tuned", "tales@tiny-gpt2", "--student",
          "module"), "another backbone"),
        ((*CURVE, "--ceiling"), "--ceiling"),
        ((*CURVE, "--explain"), "--explain"),
        ((*CURVE, "--name", "other"), "--name"),
        ((*CURVE, "--replace"), "--replace"),
        ((*CURVE, "--general", "tales@tiny-gpt2"), "--general"),
    ],
)  # fmt: skip
def test_words_that_do_not_belong_together_are_refused(trained_abi, words, said):
    ran = trained_abi("transfer", *words, "--json")
    assert ran.code == 1
    assert said in json.dumps(ran.json)
