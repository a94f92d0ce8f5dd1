"""Which headers of a response its document does not know."""

from __future__ import annotations

import re
from typing import Any

from atomos.core.api.protecting import ALWAYS, TLS_ONLY

OF_THE_CONNECTION = ("content-type", "content-length", "date", "server", "connection", "transfer-encoding")
"""What OpenAPI leaves out, and what belongs to the connection and not to the answer."""

FOR_BROWSERS = (*ALWAYS, TLS_ONLY[0], "Cache-Control")
"""What every answer has, whatever is asked, and no caller needs to know."""

UNSAID = frozenset(name.lower() for name in (*OF_THE_CONNECTION, *FOR_BROWSERS))


def undocumented(written: dict[str, Any], method: str, path: str, response: Any) -> set[str]:
    """Name the headers of a response that the document does not know, in small letters."""
    [template] = [each for each in written["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]
    said = written["paths"][template][method]["responses"][str(response.status_code)]
    if "$ref" in said:
        said = written["components"]["responses"][said["$ref"].rpartition("/")[2]]
    known = {name.lower() for name in said.get("headers", ())}
    return {name.lower() for name, _ in response.headers} - known - UNSAID
