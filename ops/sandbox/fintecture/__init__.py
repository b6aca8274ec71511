"""Fintecture's tokens and payment sessions (PIS)."""
