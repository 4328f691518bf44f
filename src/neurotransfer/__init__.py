"""Lift small neuroimaging studies with pretrained 3D networks, and measure honestly which strategy helps."""
