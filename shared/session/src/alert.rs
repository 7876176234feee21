//! What happened, for whoever has to act on it.
