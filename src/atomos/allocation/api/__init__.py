"""Allocation's entrypoints: HTTP and the command line."""
