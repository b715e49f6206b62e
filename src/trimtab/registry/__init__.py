"""Models, versions, deployments, permits, and which version answers whom."""
