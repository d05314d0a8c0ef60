"""Labelled rows in, candidate programs out: one module a strategy, all behind the protocol in `base`."""
