"""Failures: what is said of an error that a thread of the framework survives."""

from __future__ import annotations

import threading

from .concealing import concealed

_LONGEST_ERROR = 1000


def is_the_users(error: BaseException) -> bool:
    """Whether an error is somebody's Ctrl-C; whatever else code raises, `SystemExit` too, is that code's failure."""
    # Only the main thread is interrupted by signals.
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def said(error: BaseException) -> str:
    """Give an error in one line that every database can store: its class, and what it says but for secrets."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error that cannot even say what it is
        text = "(it cannot be shown)"
    line = " ".join(concealed(text, error).split())[:_LONGEST_ERROR].replace("\0", "\\0")
    return f"{type(error).__name__}: {line}".encode(errors="backslashreplace").decode()
