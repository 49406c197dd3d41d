//! The application: state, update function, effects, and the worker that runs requests.

pub(crate) mod effects;
pub mod update;
pub mod layout;
pub mod state;
pub mod worker;
pub mod view_sql;
pub mod inline_params;
pub mod call_tree;
pub mod source;
pub mod message;
pub mod export;
