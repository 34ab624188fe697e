"""Imported late, in the middle of a step."""

WORD = "first"
