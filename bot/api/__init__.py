"""REST and server-sent events: /api/v1."""
