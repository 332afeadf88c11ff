"""Runs reconcilers on the leader."""
