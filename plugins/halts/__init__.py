"""The halt actions that come with recon-core, one a file."""
