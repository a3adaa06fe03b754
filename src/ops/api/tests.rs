//! The API from the outside.
