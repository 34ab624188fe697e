"""mldlc: the machine-learning development lifecycle as one versioned config, compiled to a plan."""

__version__ = "0.1.0"
