"""The limits of servers: one rate limiter for each endpoint, model and key."""
