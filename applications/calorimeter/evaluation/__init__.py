"""Judging generated showers: suites of metrics, any number of samples against one reference, and the time they take to make."""
