"""Where allocation keeps its products, and the views that it can be asked for."""
