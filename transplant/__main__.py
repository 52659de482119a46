"""`python -m transplant`, where the script `abi` is not on the path."""

from __future__ import annotations

from importlib import import_module

import_module("transplant.installed.commands.entry").main()
