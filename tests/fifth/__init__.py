"""A method from outside the library: nothing in unbraid knows about it."""
