"""The command ``polysocket``, written over the public face of the package only."""
