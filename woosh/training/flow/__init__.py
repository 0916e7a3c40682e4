"""Training flows: latents, steps, videos, distillation."""
