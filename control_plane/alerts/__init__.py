"""Alerts that others send: taken in, kept in groups, routed to a thread, acknowledged, silenced.

Alertmanager is one producer of `values.Report`; whatever else finds an incident hands over the same value. Nothing here asks a
model or speaks to Slack: `agent_runtime.alerts` opens the threads, `bot` shows the groups.
"""
