"""How things cross a process border: topics, codec, brokers, the worker loop, dead letters and state."""
