"""Drives a running product through its API over scenarios and dumps, and scores it."""
