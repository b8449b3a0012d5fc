"""The official tasks of Matbench v0.1: facts, folds, and how to read and verify their data."""
