"""The same thread in Slack."""
