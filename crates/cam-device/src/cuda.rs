//! What Burn needs on CUDA beside NVIDIA's driver: `exp`, `erf` and their like, which its compiler takes from NVIDIA's libdevice.
//! A kernel that has one of them fails without it when it is first run, so it is looked for before.

use std::path::{Path, PathBuf};

/// The library in a folder of CUDA's.
const LIBRARY: &str = "nvvm/libdevice/libdevice.10.bc";

/// The folders that Burn's compiler looks at where none is named: cubecl-llvm 0.11, `nvptx/libdevice.rs`.
#[cfg(feature = "cuda")]
const FOLDERS: [&str; 4] = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda", "/usr"];

/// Starts the card of a number, where that can fail.
#[cfg(feature = "cuda")]
pub(crate) fn probe(number: usize) -> Result<(), String> {
    cudarc::driver::CudaContext::new(number).map_err(|error| error.to_string())?;
    library(std::env::var("CUDA_PATH").ok().map(PathBuf::from), &FOLDERS.map(Path::new))
}

/// Whether the library is found, by the rule of Burn's compiler: in the folder that is named, else in the first that has one.
fn library(named: Option<PathBuf>, folders: &[&Path]) -> Result<(), String> {
    let has_some = |folder: &&&Path| folder.join(LIBRARY).parent().is_some_and(Path::is_dir);
    let folder = named.or_else(|| folders.iter().find(has_some).map(|folder| folder.to_path_buf()));
    if folder.as_ref().is_some_and(|folder| folder.join(LIBRARY).is_file()) {
        return Ok(());
    }
    let place = folder.map_or(String::new(), |folder| format!(" in {}", folder.display()));
    Err(format!(
        "there is no {LIBRARY}{place}, of which Burn's kernels take exp and erf; the CUDA toolkit has it, or alone \
         `pip install nvidia-nvvm` (in site-packages/nvidia/cu13), and CUDA_PATH names the folder"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_looked_for_where_burn_does() {
        let home = std::env::temp_dir().join(format!("cam-cuda-{}", std::process::id()));
        let [none, empty, full] = ["none", "empty", "full"].map(|name| home.join(name));
        for folder in [&empty, &full] {
            std::fs::create_dir_all(folder.join("nvvm/libdevice")).unwrap();
        }
        std::fs::create_dir(&none).unwrap();
        std::fs::write(full.join(LIBRARY), "bitcode").unwrap();
        let found = |named: Option<&PathBuf>, folders: &[&PathBuf]| {
            let folders: Vec<&Path> = folders.iter().map(|folder| folder.as_path()).collect();
            library(named.cloned(), &folders)
        };
        assert_eq!(found(Some(&full), &[]), Ok(()));
        assert_eq!(found(None, &[&none, &full]), Ok(()));
        assert!(
            found(None, &[&none]).unwrap_err().starts_with("there is no nvvm/libdevice/libdevice.10.bc, of")
        );
        assert!(
            found(None, &[&empty, &full]).unwrap_err().contains("empty"),
            "the first that has the folder counts"
        );
        assert!(
            found(Some(&none), &[&full]).unwrap_err().contains("none"),
            "the one that is named counts alone"
        );
        std::fs::remove_dir_all(home).unwrap();
    }
}
