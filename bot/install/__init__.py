"""Bringing a runner into a cluster: the manifests of deploy/ with a cluster's own values."""
