"""The `abi` command: one verb per file."""
