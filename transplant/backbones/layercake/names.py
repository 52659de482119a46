"""Names that a domain module in a core may have; read without torch, as a paste reads cores."""

from __future__ import annotations

import re

FORM_NAMES = ("lite", "full")
MODULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # a dot would part it into two names
MODULE_NAME_RULE = "letters, digits, - and _, a letter or a digit first"
