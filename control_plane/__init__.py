"""Owns every table and every migration: fleet, commands, conversations and their log, approvals, accounts and scopes, audit."""
