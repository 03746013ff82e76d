"""Parts that all training loops share."""
