"""Commands: kubectl's reads as API calls, Prometheus, diagnosis and changes, each judged, cleaned, redacted and capped."""
