"""Layouts of event files."""
