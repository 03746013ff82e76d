"""Finetune a vision transformer without labels, as DINOv2 was trained (paper 002, section 2.2)."""
