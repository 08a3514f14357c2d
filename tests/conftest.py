"""What every test may count on, however the test run itself was started."""

import os
import signal

# The tests run in two processes: with two threads of PyTorch in each, these would wait for each other most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts a job in the background has it ignore SIGINT, and so does whatever that job starts; the tests that
# press Ctrl-C need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)
