"""The commands of `stack`: parse, call, print."""
