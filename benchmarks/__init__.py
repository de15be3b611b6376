"""Measurements of crossent side by side with the frameworks."""
