"""End-to-end training: whole networks or adapters, trained on patches."""
