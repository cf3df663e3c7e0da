"""What the machine is like: `machine` makes its ad."""
