//! Recognised: which operation of which service is this call?
