"""Signals that ask a training to save and end: SIGTERM, and the SIGUSR2 of cluster schedulers."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


class Interruption:
    """A block in which SIGTERM and SIGUSR2 are noted instead of obeyed.

    The loop looks at `requested` between two steps. For the main thread: Python lets no other set
    handlers.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        """The name of the first signal that came, None before."""
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in SIGNALS:
            self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            # None: a handler that was not set from Python, and cannot be set from it again
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """A block after which the signals that came meanwhile are noted.

        Processes forked in it are born with these signals blocked: between their first
        instruction and `ignore_signals`, torch makes them obey SIGTERM.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = self.requested or signal.Signals(number).name


def ignore_signals(worker: int) -> None:
    """Make a loader's worker deaf to what ends its parent; a `worker_init_fn` for `DataLoader`.

    Schedulers and terminals signal whole process groups: the workers must outlive the step that
    the parent still finishes. They end when the parent asks them to or is gone.
    """
    for number in (*SIGNALS, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
