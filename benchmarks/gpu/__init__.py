"""Checks for a machine with a GPU: does every network compute the same there as on the CPU, and how fast is it?"""
