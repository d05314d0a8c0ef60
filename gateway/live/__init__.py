"""What the live stream is made of: envelopes, alerts, windows, and what a client may ask."""
