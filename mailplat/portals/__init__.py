"""Who answers the door: every server socket, TLS, logins and sessions."""
