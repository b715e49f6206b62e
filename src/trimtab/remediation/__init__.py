"""Remedies: planned from a diagnosis, permitted by the safety gate alone, judged by recovery."""
