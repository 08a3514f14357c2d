"""What a channel costs: parameters, FLOPs, latency."""
