//! SQL: a lexer, and additional functions.

pub mod functions;
pub mod lexer;
