"""Network slimming: sparse training on BatchNorm scales, channel pruning, and what a pruned model needs.

Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017, arXiv:1708.06519.
"""
