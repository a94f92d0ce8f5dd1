"""Adapters of message brokers, and how events are written for them (CloudEvents 1.0)."""
