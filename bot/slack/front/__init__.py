"""Where Slack's events come in, on every replica: trimmed, redacted and kept before they are acknowledged."""
