"""A second module of the user, so that tracebacks and frozen code have something to show."""

WORD = "first"


def shout(value: int) -> None:
    """Raises, one call below the step."""
    raise ValueError(f"cannot shout {value}")
