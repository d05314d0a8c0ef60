"""Samples in, validation results out: tiers that climb from free checks to an oracle, within an app's budget."""
