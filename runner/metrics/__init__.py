"""Metrics over time: a client of whatever speaks Prometheus' HTTP API (Prometheus, Thanos, Mimir, Cortex, VictoriaMetrics).

Credentials go to the configured URL and to nothing else: a redirect to another origin is refused, and a service that was found
in the cluster is asked without them. What a server could only answer in part is said as a limit.
"""
