"""Does one outage stay one ticket under every fault? Randomised schedules against the real delivery and connectors."""
