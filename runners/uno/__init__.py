"""CANDLE-UNO: how cell lines answer to drugs."""
