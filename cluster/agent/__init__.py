"""The worker's side: assignments to running tasks."""
