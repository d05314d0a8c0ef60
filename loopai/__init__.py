"""Loopai's language: the words that every role shares. Pure values and rules; no I/O and no framework."""

__version__ = "0.1.0"
