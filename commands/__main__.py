"""`python -m commands`, where the script `abi` is not on the path."""

from __future__ import annotations

from commands.entry import main

main()
