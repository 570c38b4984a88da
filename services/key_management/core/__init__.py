"""What a key is and when it is good; pure."""
