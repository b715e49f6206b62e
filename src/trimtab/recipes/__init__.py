"""Training recipes: a table of past rows in, an ONNX model and its measured quality out.

A recipe runs in a child process with limits, so it needs the train libraries only, and
imports them inside its functions.
"""
