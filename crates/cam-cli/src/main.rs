//! The tool `cam`.

fn main() -> std::process::ExitCode {
    cam_cli::run(burn_cam::Registry::default())
}
