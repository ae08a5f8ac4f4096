"""A small Prometheus: series computed from the cluster's own past, and the PromQL that our tools send."""
