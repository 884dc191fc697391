//! What is reported: on the console, as JSON, as an HTML page, as contact sheets, in the terminal, as exit codes.

pub mod console;
pub mod contact_sheet;
pub mod failure;
pub mod format;
pub mod html;
pub mod json;
pub mod json_path;
pub mod painter;
pub mod preview;
pub mod provenance;
pub mod record;
mod sixel;
