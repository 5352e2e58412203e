"""Measurements of the anomaly application: one script a goal, each resumable and divisible by seeds."""
