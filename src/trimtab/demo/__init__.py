"""The demo: real models on real data, told as one story on a stepped clock."""
