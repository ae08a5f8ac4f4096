"""What the agent may do. No tool writes to a cluster; propose_remediation opens an Approval.

`tools.build.build_tools` makes the LangChain tools of one turn; importing that loads LangChain, importing this does not.
"""
