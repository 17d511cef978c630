"""Rules, one break type a file."""
