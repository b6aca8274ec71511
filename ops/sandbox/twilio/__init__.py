"""Twilio's 2010-04-01 API as far as text messages go."""
