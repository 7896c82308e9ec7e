"""The limits of servers: one gate for each endpoint, model and key."""
