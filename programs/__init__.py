"""What a program is and how it comes to be: artifact, gate, strategies, providers, registry and store."""
