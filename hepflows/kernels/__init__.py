"""The arithmetic under the bijections, in pure torch: monotonic splines and the exact inverse of a masked network."""
