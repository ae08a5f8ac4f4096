"""Behaviour, no tables: turns, models, budgets, actions."""
