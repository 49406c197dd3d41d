//! Explores: query → screen.
