//! The rows above and below a view: header, tabs, filters, status and footer.

pub mod filters;
pub mod header;
pub mod status;
pub mod tabs;
