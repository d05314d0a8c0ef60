"""Validations in, decisions out: estimates, drift, rollout machine and improver."""
