"""A limit on the time that one template may take: sizes are bounded by the sandbox, repetition only by this.

A timer of the kernel interrupts the interpreter between two of its steps, and the sandbox lets no single step be
long. Where there is no such timer (another thread, another system) sizes remain the only bound.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

MAX_SECONDS = 3.0


@contextmanager
def time_limit(seconds: float = MAX_SECONDS) -> Iterator[None]:
    """Raise `TooLong` in the block once it has taken that long."""
    if not _has_timer():
        yield
        return
    before = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def no_limit() -> Iterator[None]:
    """Let the block take the time that it takes; what is left of the limit goes on after it."""
    if not _has_timer():
        yield
        return
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)


def _has_timer() -> bool:
    return threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")


class TooLong(Exception):
    """A template has taken longer than it may."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise TooLong(f"the template takes longer than {MAX_SECONDS:g} s")
