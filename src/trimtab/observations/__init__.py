"""Predictions and labels as they arrive: facts, never judged here."""
