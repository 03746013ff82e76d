"""Tables of both papers, of costs, and of unfinished studies."""
