"""Errors that a user can act on; the command line prints them as one line, without a traceback."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_NAMED = 5


class DinoError(Exception):
    """An error whose one line says what is wrong, where, what was expected and what to do."""

    exit_code = 1
    """The exit code of the command."""


class ConfigurationError(DinoError):
    """A value in params.yaml or on the command line that cannot be used."""


class DataError(DinoError):
    """A source, manifest or image that is missing, damaged or not what it claims to be."""


class CheckpointError(DinoError):
    """A checkpoint or exported model that is missing, damaged or belongs to other parameters."""


class CollapseError(DinoError):
    """Training that will not recover: distributions that collapsed, or NaN and infinite numbers."""

    def __init__(self, message: str, report: dict[str, Any] | None = None) -> None:
        """`report` holds further numbers, which are written to a file."""
        super().__init__(message)
        self.report = report


class JobError(DinoError):
    """A job on a cluster that failed, was cancelled, or was given up."""


class SupersededError(DinoError):
    """Another attempt at the same job has begun; this one must not write any more."""


class InterruptedTraining(DinoError):  # noqa: N818 - nothing is wrong
    """A training that a signal ended after the training had saved its state."""

    exit_code = os.EX_TEMPFAIL
    """75 asks a scheduler to queue the job again. After Ctrl-C it is 130, as a shell expects."""

    def __init__(self, signal_name: str | None, step: int, command: str | None = None) -> None:
        """`signal_name` is None where another process of the same training got the signal."""
        if signal_name == "SIGINT":
            self.exit_code = 130
        super().__init__(
            f"interrupted by {signal_name or 'a signal to another process'} at step {step}; "
            f"run the same command again to continue{f': {command}' if command else ''}"
        )


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Put `what` in front of the errors that the block raises."""
    try:
        yield
    except DinoError as error:
        error.args = (f"{what}: {error}",)
        raise


def some_of(names: Sequence[str]) -> str:
    """The first of `names` as an error gives them, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
