"""Words to sound: text encoder, transformer, flow, solvers, pipeline."""
