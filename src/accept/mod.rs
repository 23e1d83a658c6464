//! Intercepted: a byte stream becomes a call.
