"""What schemathesis needs to know of Atomos, and of the reference service."""

COUNTED = "ATOMOS_FUZZ_COUNTED"
"""The variable with the file that gets a line for each request: phase, method, path, status."""

TOKEN = "ATOMOS_FUZZ_TOKEN"
"""The variable with the token that requests are sent with; not set: without credentials."""

POWERLESS = "ATOMOS_FUZZ_POWERLESS"
"""The variable that is set when the token has no permission."""
