"""Local look-alikes of Stripe, Twilio, Fintecture and Anthropic, with books of their own."""
