"""Where a peer reads and writes, as benchmarks/throughput.py tells it by its environment."""

import os

BROKERS = os.environ["BENCH_BROKERS"]
INPUTS = os.environ["BENCH_IN"]
RESULTS = os.environ["BENCH_OUT"]
GROUP = os.environ["BENCH_GROUP"]
FROM_END = os.environ.get("BENCH_FROM_END") == "1"
"""Only for those without a group: begin with what is new. A group's place is set before its first member comes."""
