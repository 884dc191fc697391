//! One evaluation on many machines: each measures every Nth image, and their folders are merged.

use crate::report::failure::Failure;
use crate::run::interrupt;
use crate::run::manifest::{self, Manifest, Recorded};
use crate::run::sources::Source;
use burn_cam::draw;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The file that says which shard a folder has.
const NAME: &str = "shard.json";

/// Which share of the images is measured: `2/8` is every eighth one from the second on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    pub number: usize,
    pub of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("a number and how many there are, as in 1/8 to 8/8".into()),
        }
    }
}

/// What a folder says of its shard.
#[derive(Serialize, Deserialize)]
struct Stated {
    #[serde(flatten)]
    shard: Shard,
    /// All images of the evaluation.
    images: usize,
    /// What their names are hashed to.
    names: String,
}

impl Shard {
    /// Keeps the images of the shard, and writes into its folder which it is.
    pub fn select(self, sources: Vec<Source>, folder: &Path) -> Result<Vec<Source>, Failure> {
        let images = sources.len();
        let names = hash(&sources);
        let path = folder.join(NAME);
        let text = serde_json::to_vec(&Stated { shard: self, images, names }).expect("a shard is plain data");
        interrupt::whole(|| draw::write(&path, &text))?;
        let every = sources.into_iter().enumerate().filter(|(place, _)| place % self.of == self.number - 1);
        Ok(every.map(|(_, source)| source).collect())
    }

    /// Returns how many of so many images it has.
    fn share(self, images: usize) -> usize {
        (images + self.of - self.number) / self.of
    }
}

/// Hashes the names of images, in their order (FNV-1a).
fn hash(sources: &[Source]) -> String {
    let bytes =
        sources.iter().flat_map(|source| source.path.as_os_str().as_encoded_bytes().iter().chain(b"\n"));
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// Merges the folders of all shards into one folder, and returns the options of the evaluation. A shard that is missing, doubled, unfinished or of another
/// evaluation is refused by name.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Value, Failure> {
    let refused = |folder: &Path, reason: String| Failure::Shards { path: folder.into(), reason };
    let mut known: BTreeMap<usize, &Path> = BTreeMap::new();
    let mut first: Option<Stated> = None;
    for folder in folders {
        let text = std::fs::read(folder.join(NAME))
            .map_err(|error| refused(folder, format!("`{NAME}`: {error}")))?;
        let stated: Stated =
            serde_json::from_slice(&text).map_err(|error| refused(folder, format!("`{NAME}`: {error}")))?;
        let Shard { number, of } = stated.shard;
        if let Some(other) = known.insert(number, folder) {
            return Err(refused(
                folder,
                format!("shard {number}/{of} is doubled: `{}` has it, too", other.display()),
            ));
        }
        let first = first.get_or_insert(Stated { names: stated.names.clone(), ..stated });
        if (first.shard.of, first.images, &first.names) != (of, stated.images, &stated.names) {
            return Err(refused(
                folder,
                format!(
                    "it is of another evaluation than `{}`: it has other images or shards",
                    folders[0].display()
                ),
            ));
        }
    }
    let Some(Stated { shard: Shard { of, .. }, images, .. }) = first else {
        return Err(Failure::Usage("`--merge` needs the folders of shards".into()));
    };
    if let Some(missing) = (1..=of).find(|number| !known.contains_key(number)) {
        return Err(refused(out, format!("shard {missing}/{of} is missing")));
    }
    let mut options: Option<(Value, &Path)> = None;
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for (&number, &folder) in &known {
        let (mut inputs, mut of_shard) = (HashSet::new(), None);
        let recorded: Vec<(Vec<u8>, Recorded)> = manifest::recorded(folder)?.collect::<Result<_, _>>()?;
        // The last line has the options of the last run.
        let last = recorded.last().map(|(_, line)| line.options.clone()).unwrap_or_default();
        for (line, recorded) in recorded.into_iter().filter(|(_, line)| line.options == last) {
            inputs.insert(recorded.input.to_path_buf());
            of_shard = Some(recorded.options);
            lines.push(line);
        }
        let expected = Shard { number, of }.share(images);
        if inputs.len() != expected {
            let reason =
                format!("shard {number}/{of} is not finished: {} of {expected} images", inputs.len());
            return Err(refused(folder, reason));
        }
        match (&options, of_shard) {
            (Some((known, other)), Some(found)) if *known != found => {
                return Err(refused(
                    folder,
                    format!("shard {number}/{of} has other options than `{}`", other.display()),
                ));
            }
            (None, Some(found)) => options = Some((found, folder)),
            _ => {}
        }
    }
    let (options, _) = options.ok_or_else(|| refused(out, "no image is measured".into()))?;
    let text: Vec<u8> = lines.into_iter().flat_map(|line| [line, b"\n".into()].concat()).collect();
    interrupt::whole(|| draw::write(out.join(manifest::NAME), &text))?;
    Manifest::open(out, options.clone(), false)?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_all_images_once() {
        for images in 0..20 {
            for of in 1..6 {
                let shares: Vec<usize> = (1..=of).map(|number| Shard { number, of }.share(images)).collect();
                assert_eq!(shares.iter().sum::<usize>(), images);
                for (number, share) in (1..).zip(shares) {
                    assert_eq!(share, (0..images).filter(|place| place % of == number - 1).count());
                }
            }
        }
        assert_eq!("2/3".parse(), Ok(Shard { number: 2, of: 3 }));
        assert!(["0/3", "4/3", "1", "a/b"].iter().all(|text| text.parse::<Shard>().is_err()));
    }
}
