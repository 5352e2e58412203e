"""The models: what a flow learns of a shower, which flows there are, how they are trained and sampled."""
