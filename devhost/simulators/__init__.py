"""Simulators of the identity provider and of the image providers; see README.md."""
