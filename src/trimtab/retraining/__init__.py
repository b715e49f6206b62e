"""Training again: on data that were checked, in a limited child, judged on the same later data."""
