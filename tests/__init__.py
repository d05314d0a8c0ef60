"""Loopai's tests, a folder for each part. A package, so that no installed `tests` can stand in for it."""
