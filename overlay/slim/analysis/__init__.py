"""The channels of a model that can go, proved."""
