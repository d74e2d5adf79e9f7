"""Mail in the forms in which it lies outside of a house: read chunk by chunk, and written.

All of it blocks and runs in the command that an operator gives: the files belong to
the operator, whom the server's account may not even know.  The server is told and asked
by frames over the control socket (`mailplat.app.asking`).
"""
