//! Decided: the policy decision point.
