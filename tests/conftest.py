"""What every test may count on, however the test run itself was started."""

import signal

# A shell that starts a job in the background has it ignore SIGINT, and so does whatever that job starts; the tests that
# press Ctrl-C need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)
