"""The verbs of `abi`: one a file, found by its name."""
