"""One control plane for production models."""

__version__ = "0.1.0"
