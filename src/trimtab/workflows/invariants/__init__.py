"""What must hold of the records at every moment, asked of the records themselves."""
