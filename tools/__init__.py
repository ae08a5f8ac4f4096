"""What the agent may do. No tool writes to a cluster; propose_remediation opens an Approval."""
