"""Where people meet Opsthread: web, REST, the command line, Slack. The composition of the processes lives in cli."""
