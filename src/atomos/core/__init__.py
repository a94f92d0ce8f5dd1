"""The framework: domain, service, adapters and API, in the words of the specification; it knows no context."""
