"""Events of top-quark pairs."""
