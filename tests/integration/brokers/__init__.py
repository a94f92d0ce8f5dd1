"""Message brokers, each against a real server."""
