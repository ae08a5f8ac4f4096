"""From a typed Remediation to a frozen plan, its execution behind a verified Grant, and the check that it healed."""
