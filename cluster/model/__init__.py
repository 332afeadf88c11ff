"""The nouns: immutable specs, objects and statuses."""
