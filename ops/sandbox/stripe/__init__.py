"""Stripe's v1 API as far as payments go."""
