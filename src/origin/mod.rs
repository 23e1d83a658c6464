//! Forwarded: the call goes out, the answer comes back.
