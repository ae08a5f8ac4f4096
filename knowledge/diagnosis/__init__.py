"""From a view of a cluster to its root causes, with proof. Pure; the runner carries this package and nothing else of knowledge."""
