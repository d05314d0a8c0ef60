"""HTTP around the routes: bodies in and out, errors, keys at the door, replayed answers, the page."""
