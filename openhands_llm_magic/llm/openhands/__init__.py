"""What OpenHands makes of the settings: the request that each of its versions would send."""
