"""One control and several, over a run: unit, stack, schedule, rows."""
