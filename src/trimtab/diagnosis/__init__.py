"""Why it broke: evidence in, ranked causes out, with what speaks for and against each."""
