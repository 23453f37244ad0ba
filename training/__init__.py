"""What made fruitfly: from a folder of text to a model folder, in one command (`python -m training --help`).

This package imports invivo's public parts at most; invivo never imports it.
"""
