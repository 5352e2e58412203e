"""Integrals beside vegas (and madnis): errors, pulls and times over many seeds."""
