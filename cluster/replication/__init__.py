"""Raft at work: disk, peers, and the store on top."""
