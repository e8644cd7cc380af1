//! Measures and reports that training and replay share.
