//! The tool `cam` with a method, a score and a family of models of its own. They are in its help, in `cam methods`, `cam models` and
//! `cam compare`, and weights of the family are recognized.
//!
//! ```text
//! cargo run --release -p cam-own-tool -- methods
//! cargo run --release -p cam-own-tool -- compare scene.png --score margin
//! ```

mod toys;

use std::process::ExitCode;

fn main() -> ExitCode {
    match toys::registry() {
        Ok(registry) => cam_cli::run(registry),
        Err(error) => {
            eprintln!("cam: {error}");
            ExitCode::FAILURE
        }
    }
}
