"""Case files: incidents with their changes, alerts and, where known, the true cause; scored as the product scores."""
