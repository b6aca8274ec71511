"""Anthropic's Messages API, without a model."""
