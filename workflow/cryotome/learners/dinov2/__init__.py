"""Finetuning of an encoder with DINOv2 on one GPU."""
