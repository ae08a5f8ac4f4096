"""A turn: one durable step, resumable from the log."""
