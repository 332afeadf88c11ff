"""What clients send, as typed values; an error names the field."""
