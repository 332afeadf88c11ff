"""What a task needs before it can be scheduled, pure."""
