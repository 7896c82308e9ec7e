"""What a person sees of a request."""
