"""Injection: a donor's part at work inside a target's block, behind bridges and a gate."""
