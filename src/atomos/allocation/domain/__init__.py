"""Products, batches and order lines: which stock is promised to whom. Orders with a deadline."""
