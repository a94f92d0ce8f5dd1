"""Message brokers: each module here needs the libraries of its extra, and is imported when its broker is chosen."""
