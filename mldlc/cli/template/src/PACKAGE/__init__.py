"""Models of PROJECT."""
