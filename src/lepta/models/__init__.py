"""What can be trained: preprocessing, encoders, heads, trees, linear models, pretrained ones."""
