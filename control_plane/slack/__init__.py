"""Slack as tables: what came in, what is to be shown, which thread is which conversation, what a channel may see.

Nothing here speaks to Slack. `bot.slack` does, over these.
"""
