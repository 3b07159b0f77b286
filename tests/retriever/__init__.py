"""A method that retrieves from fixed texts, from outside the library: it proves how training hands them over."""
