"""The product as a hostile user, a hostile service and a hostile disk meet it."""
