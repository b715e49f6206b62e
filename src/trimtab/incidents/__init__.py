"""What broke: signals gathered into incidents, from detection to measured recovery."""
