"""What known files of events hold beyond their columns: the LHC Olympics features."""
