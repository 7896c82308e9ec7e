"""What requests have cost: a ledger of them, limits that hold, and what is made of it."""
