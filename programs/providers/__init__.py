"""Chat models behind one protocol: a request goes in, a reply with its tokens and its cost comes out, or an error."""
