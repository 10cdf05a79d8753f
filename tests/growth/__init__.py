"""How the time of every function that takes text of a user or of the service grows with that text."""
