"""Signals that ask a training to save and end: SIGTERM, schedulers' SIGUSR2, and Ctrl-C."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from dino.core.distributed import is_main

SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
_SAYS = b"\nsaving after this step; Ctrl-C again ends at once\n"


class Interruption:
    """A block in which SIGTERM, SIGUSR2 and the first SIGINT are noted instead of obeyed.

    A second SIGINT ends the process. The loop looks at `requested` between two steps. For the main
    thread: Python lets no other set handlers.
    """

    def __init__(self, command: str | None = None) -> None:
        """`command`: the one that continues what was interrupted."""
        self.command = command
        self.requested: str | None = None
        """The name of the first signal that came, None before."""
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in SIGNALS:
            # a shell that started this in the background has said that Ctrl-C means others
            if signal.getsignal(number) == signal.SIG_IGN:
                continue
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
        if number == signal.SIGINT:
            # by the system, in the middle of a step too
            signal.signal(number, signal.SIG_DFL)
            if is_main():
                # print might be in the middle of a line of its own
                os.write(sys.stderr.fileno(), _SAYS)


def ignore_signals(worker: int) -> None:
    """Make a loader's worker deaf to what ends its parent; a `worker_init_fn` for `DataLoader`.

    Schedulers and terminals signal whole process groups: the workers must outlive the step that
    the parent still finishes. They end when the parent asks them to or is gone.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
