"""Pages of the studio: each a function from a request to an answer."""
