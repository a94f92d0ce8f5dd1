"""The trace context of other services, as W3C Trace Context writes it (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re

_TRACEPARENT = re.compile(
    r"((?!ff)[0-9a-f]{2})(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.*)?"
)


def read_traceparent(given: str) -> str | None:
    """Read a `traceparent`, and write it in version 00; None where it is none, which is to be ignored."""
    match = _TRACEPARENT.fullmatch(given)
    if match is None or (match[1] == "00" and match[3]):
        return None
    # A later version may say more; what this one knows comes first, and is passed on as this version.
    return f"00{match[2]}"
