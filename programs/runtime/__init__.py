"""Small trusted runtimes that generated programs import inside the jail: standard library only, exact integers.

One implementation of tokens and features serves training and running, so the two cannot differ.
"""
