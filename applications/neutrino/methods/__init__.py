"""Ways to a neutrino: the W-mass constraint, a regression, a flow."""
