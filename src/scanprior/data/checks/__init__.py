"""What is looked for in every scan, whether it is to be prepared or only looked at (doctor)."""
