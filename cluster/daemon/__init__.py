"""The process: the only place that wires things together."""
