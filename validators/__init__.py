"""Samples in, validation results out: tiers, comparators, oracles and budget."""
