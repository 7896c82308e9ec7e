"""What becomes of an answer: the data in it, the schema it is held to, the file it is kept in."""
