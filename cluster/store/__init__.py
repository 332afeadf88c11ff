"""The replicated state, as a value."""
