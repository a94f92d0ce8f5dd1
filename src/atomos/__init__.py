"""Atomos: event-driven enterprise backends, and a reference service built on it."""
