"""What kind of model this is: pruned or dense, which rounds it remembers, its inputs, outputs and YAML."""
