"""Integration and event generation by importance sampling with flows."""
