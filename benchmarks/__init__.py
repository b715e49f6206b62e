"""What Trimtab does a second, beside what this machine could do at all, in the same run."""
