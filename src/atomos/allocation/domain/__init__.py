"""Products, batches and order lines: which stock is promised to whom."""
