//! A picture in the terminal: by the graphics of Kitty, iTerm or sixel where it has them, else by half blocks.

use crate::console::Console;
use crate::failure::Failure;
use crate::sheet::Drawing;
use std::io::IsTerminal;
use viuer::Config;

/// The columns that a picture takes at most where the terminal has more.
const COLUMNS: u32 = 100;

pub fn show(drawing: &Drawing, console: &Console) -> Result<(), Failure> {
    // Only a terminal can be asked what it can do.
    let graphics = std::io::stdout().is_terminal();
    let config = Config {
        absolute_offset: false,
        use_kitty: graphics,
        use_iterm: graphics,
        use_sixel: graphics,
        width: Some(u32::from(viuer::terminal_size().0).min(COLUMNS)),
        ..Config::default()
    };
    let drawn = drawing.pixels()?.into_owned().into();
    console
        .aside(|| viuer::print(&drawn, &config))
        .map(drop)
        .map_err(|error| Failure::Output { path: "standard output".into(), reason: error.to_string() })
}
