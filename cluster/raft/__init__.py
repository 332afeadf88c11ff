"""The consensus algorithm, free of input and output."""
