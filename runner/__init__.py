"""The process inside each cluster: link to the control plane, collectors, executors.

Imports knowledge.diagnosis and protocol only, of ours.
"""
