"""A support message in, who must read it out: six keywords, two regular expressions, three labels.

This text is the program of every subject: Loopai runs it in its jail, the Python peers import it, and go/rule.go says
the same in Go.
"""

import re

INCIDENT = re.compile(r"error \d{3}\b")
AMOUNT = re.compile(r"\$\d+\.\d\d")


def run(record):
    text = record["text"].lower()
    if "outage" in text or "urgent" in text or "cannot log in" in text or INCIDENT.search(text):
        return "urgent"
    if "invoice" in text or "refund" in text or "charged" in text or AMOUNT.search(text):
        return "billing"
    return "general"
