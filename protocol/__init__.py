"""What the parts of Opsthread say to each other.

Pure: versioned types, subject names, the kubectl grammar, the policy, the approval transition table, redaction,
canonical JSON and signatures. Nothing here does I/O; time, randomness and keys come in by parameter.
"""
