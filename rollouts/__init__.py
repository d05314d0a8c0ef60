"""Validations and commands in, decisions out: estimates, drift, rollouts, and the making of better programs."""
