"""The receiver under load while something breaks, and what comes out of the pipeline afterwards."""
