"""The testing kit: fakes, and a conformance suite for each port."""
