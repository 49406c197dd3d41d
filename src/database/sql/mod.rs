//! SQL text: the lexer, and functions that queries may call.

pub mod functions;
pub mod lexer;
