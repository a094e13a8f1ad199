"""In the path of a process, and of those that it starts: their clock is set by so many seconds."""

import os
import time

_seconds, _real = float(os.environ["CLOCK_STEP"]), time.time
time.time = lambda: _real() + _seconds
