"""Durazzo beside what people would otherwise use: each in an environment of its own."""
