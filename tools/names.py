"""The names of the tools, as the model calls them."""

DIAGNOSE = "diagnose"
KUBECTL = "kubectl"
PROMETHEUS = "prometheus"
CHANGES = "changes"
PAST_CASES = "past_cases"
PROPOSE = "propose_remediation"
REPORT = "report"
