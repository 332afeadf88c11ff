"""HTTP only: what is read from a request and sent as its response."""
