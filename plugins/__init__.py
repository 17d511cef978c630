"""The plugins that come with recon-core; installed as ``recon_core_plugins``, loaded only through their entry points."""
