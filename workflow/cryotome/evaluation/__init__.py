"""From predictions to scores, and what may be concluded from them."""
