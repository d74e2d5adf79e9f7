"""What the way to other hosts has to prove before mail goes there: DANE and MTA-STS."""
