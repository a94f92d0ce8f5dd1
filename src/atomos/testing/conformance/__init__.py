"""What every adapter of a port must do, as tests: one suite per port, to be subclassed in pytest."""
