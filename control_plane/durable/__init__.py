"""The only place that imports DBOS: durable turns and actions, their recovery and their sweep."""
