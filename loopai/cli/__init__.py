"""The `loopai` command: the entry points, and the only place that chooses adapters."""
