"""Self-supervised video representation learning: MoSI, MotionFit and TimeBalance."""

__version__ = "0.1.0"
