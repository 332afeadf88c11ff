"""What stands in the way of a compose project that is to run on several nodes."""
