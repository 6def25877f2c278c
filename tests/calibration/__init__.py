"""Are the error bars right? Coverage of two bars over many seeds, on cases whose answers are known."""
