"""Nonsense in, no nonsense out: every public function called with every argument replaced by something nasty.

`walk` finds the public functions, `examples` says how each is called rightly, `values` what is put in an argument's
place, and `judge` what may come of it: a finite result, or a refusal that names the argument.
"""
