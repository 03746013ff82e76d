"""Tables of both papers, and costs."""
