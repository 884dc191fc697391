//! Checks for NVIDIA's libdevice, from which Burn's compiler takes `exp`, `erf` and similar functions. Without it a kernel that calls one
//! fails when it first runs, so its presence is checked before.

use std::path::{Path, PathBuf};

/// The path of the library within a CUDA folder.
const LIBRARY: &str = "nvvm/libdevice/libdevice.10.bc";

/// The folders that Burn's compiler searches by default: cubecl-llvm 0.11, `nvptx/libdevice.rs`.
#[cfg(feature = "cuda")]
const FOLDERS: [&str; 4] = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda", "/usr"];

/// Starts the GPU with this index and checks for the library.
#[cfg(feature = "cuda")]
pub(crate) fn probe(index: usize) -> Result<(), String> {
    cudarc::driver::CudaContext::new(index).map_err(|error| error.to_string())?;
    check_library(std::env::var("CUDA_PATH").ok().map(PathBuf::from), &FOLDERS.map(Path::new))
}

/// Looks for the library like Burn's compiler: in the named folder, else in the first default folder that has `nvvm/libdevice`.
fn check_library(named: Option<PathBuf>, folders: &[&Path]) -> Result<(), String> {
    let has_some = |folder: &&&Path| folder.join(LIBRARY).parent().is_some_and(Path::is_dir);
    let folder = named.or_else(|| folders.iter().find(has_some).map(|folder| folder.to_path_buf()));
    if folder.as_ref().is_some_and(|folder| folder.join(LIBRARY).is_file()) {
        return Ok(());
    }
    let location = folder.map_or(String::new(), |folder| format!(" in {}", folder.display()));
    Err(format!(
        "there is no {LIBRARY}{location}, which Burn's kernels need for exp and erf; install the CUDA toolkit, or only \
         `pip install nvidia-nvvm`, and set CUDA_PATH to the folder (site-packages/nvidia/cu13)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_searched_where_burn_searches() {
        let home = std::env::temp_dir().join(format!("cam-cuda-{}", std::process::id()));
        let [none, empty, full] = ["none", "empty", "full"].map(|name| home.join(name));
        for folder in [&empty, &full] {
            std::fs::create_dir_all(folder.join("nvvm/libdevice")).unwrap();
        }
        std::fs::create_dir(&none).unwrap();
        std::fs::write(full.join(LIBRARY), "bitcode").unwrap();
        let found = |named: Option<&PathBuf>, folders: &[&PathBuf]| {
            let folders: Vec<&Path> = folders.iter().map(|folder| folder.as_path()).collect();
            check_library(named.cloned(), &folders)
        };
        assert_eq!(found(Some(&full), &[]), Ok(()));
        assert_eq!(found(None, &[&none, &full]), Ok(()));
        assert!(
            found(None, &[&none])
                .unwrap_err()
                .starts_with("there is no nvvm/libdevice/libdevice.10.bc, which")
        );
        assert!(
            found(None, &[&empty, &full]).unwrap_err().contains("empty"),
            "the first that has the folder is used"
        );
        assert!(found(Some(&none), &[&full]).unwrap_err().contains("none"), "a named folder is used alone");
        std::fs::remove_dir_all(home).unwrap();
    }
}
