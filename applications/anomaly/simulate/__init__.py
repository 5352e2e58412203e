"""Events for tests and studies: an analytic engine whose true likelihood ratio is known."""
