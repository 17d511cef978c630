"""Broker adapters, one a file."""
