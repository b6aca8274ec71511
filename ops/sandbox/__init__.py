"""A local look-alike of Stripe and Twilio over real HTTP, with books of its own."""
