"""Services to tasks, pure."""
