//! Black-box tests of a running panel.
