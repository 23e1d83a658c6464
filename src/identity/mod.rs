//! Attributed, first half: who asks?
