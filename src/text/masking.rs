//! Personal data is masked before anything else sees the text.
