"""What is trained: probes, networks, multiple-instance models and DINOv2."""
