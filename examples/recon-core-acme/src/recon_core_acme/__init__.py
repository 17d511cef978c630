"""Plugins of ACME for recon-core, one a file."""
