"""What people talk to: HTTP, Socket.IO, keys and the page."""
