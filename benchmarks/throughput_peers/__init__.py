"""The parts of benchmarks/throughput.py: subjects, their environments, the neutral side, the claims, the table."""
