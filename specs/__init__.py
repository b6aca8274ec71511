"""Data: published workflows, source descriptions, provider profiles, schemas."""
