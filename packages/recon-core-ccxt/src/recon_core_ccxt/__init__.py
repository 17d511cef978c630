"""A broker adapter for recon-core over the ccxt library."""
