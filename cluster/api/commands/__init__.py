"""What a user may ask of the cluster: validated operations on a transaction."""
