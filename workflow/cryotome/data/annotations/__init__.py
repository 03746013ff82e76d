"""Readers of annotations, a format a module."""
