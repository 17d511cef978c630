"""The files that the user writes: recon.yaml (where things are) and policies.yaml (what they mean)."""
