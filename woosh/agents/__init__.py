"""Tools for agents: what a program that acts for somebody may do with sounds, and where."""
