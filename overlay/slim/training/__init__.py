"""The penalty on BatchNorm scales."""
