"""Charts: series as SVG for the web, PNG for Slack and reports, and a row of blocks for a terminal.

`units`, `of_result`, `sparkline` and `words` are pure and light. `draw` needs matplotlib and runs in a process of its own
(`worker`), which `drawer` starts when a chart is first asked for: the server neither loads it nor waits for it.
"""
