//! Attributed, second half: for which task, and with what history?
