"""Does a fork train as promised, and do upstream's own tests pass as before?"""
