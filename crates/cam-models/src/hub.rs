//! Weights from the Hugging Face hub, downloaded on first use into the cache that Python's `huggingface_hub` uses.

use crate::digest::sha256;
use crate::{Error, ModelCard};
use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The weight file of timm's repositories.
const FILE: &str = "model.safetensors";

/// How often a broken connection is resumed, in addition to the one time that hf-hub always does.
const RETRIES: usize = 2;

/// Where weights are downloaded from and where they are kept.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The address of the hub, without a trailing slash.
    pub endpoint: String,
    /// The folder of the cache.
    pub cache: PathBuf,
    /// An access token, for repositories that are not public.
    pub token: Option<String>,
    /// Whether only the cache is used.
    pub offline: bool,
}

impl Hub {
    /// Returns the hub that the environment names, by the rules of `huggingface_hub`: `HF_ENDPOINT`, `HF_HUB_CACHE` or the folder
    /// `hub` of `HF_HOME` (by default `~/.cache/huggingface`), `HF_TOKEN` or the file `token` of `HF_HOME`, `HF_HUB_OFFLINE`.
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let home = set("HF_HOME").map(PathBuf::from).unwrap_or_else(|| {
            let caches = set("XDG_CACHE_HOME").map(PathBuf::from);
            caches
                .unwrap_or_else(|| std::env::home_dir().unwrap_or_default().join(".cache"))
                .join("huggingface")
        });
        let token = set("HF_TOKEN").or_else(|| std::fs::read_to_string(home.join("token")).ok());
        let yes = ["1", "ON", "YES", "TRUE"];
        Self {
            endpoint: set("HF_ENDPOINT")
                .map_or("https://huggingface.co".into(), |endpoint| endpoint.trim_end_matches('/').into()),
            cache: set("HF_HUB_CACHE").map_or(home.join("hub"), PathBuf::from),
            token: token.map(|token| token.trim().to_string()).filter(|token| !token.is_empty()),
            offline: set("HF_HUB_OFFLINE").is_some_and(|value| yes.contains(&value.to_uppercase().as_str())),
        }
    }

    /// Returns the weight file of a model, from the cache or from the hub. `progress` gets the bytes that have arrived and their total
    /// number.
    ///
    /// The file has the sha256 of its model card, or else the one that the hub reports; a file with another hash is removed. A partial
    /// download is resumed by the next call.
    ///
    /// # Errors
    /// [`Error::NoWeights`] for a card without a repository, [`Error::Offline`], [`Error::Fetch`] and [`Error::WrongHash`].
    pub fn weights(&self, card: &ModelCard, mut progress: impl FnMut(u64, u64)) -> Result<PathBuf, Error> {
        let Some(id) = &card.hub else {
            return Err(Error::NoWeights { model: card.name.clone(), url: card.url.clone() });
        };
        let repository = Repository { hub: self, card, repo: Repo::model(id.clone()) };
        let placed = repository.place();
        if placed.exists() {
            return repository.check(&placed).map(|()| placed);
        }
        let cached = Cache::new(self.cache.clone()).repo(repository.repo.clone()).get(FILE);
        if let Some(path) = cached {
            match repository.check(&path) {
                Err(Error::WrongHash { .. }) if !self.offline => remove(&path),
                checked => return checked.map(|()| path),
            }
        }
        if self.offline {
            let (url, place) = (repository.url(), placed);
            return Err(Error::Offline { model: card.name.clone(), url, place });
        }
        let path = repository.download(&mut progress)?;
        repository.check(&path).inspect_err(|_| remove(&path))?;
        Ok(path)
    }
}

/// One repository of the hub.
struct Repository<'a> {
    hub: &'a Hub,
    card: &'a ModelCard,
    repo: Repo,
}

impl Repository<'_> {
    fn folder(&self) -> PathBuf {
        self.hub.cache.join(self.repo.folder_name())
    }

    /// Returns where a user puts a file that was downloaded in another way.
    fn place(&self) -> PathBuf {
        self.folder().join("snapshots").join(self.repo.revision()).join(FILE)
    }

    fn url(&self) -> String {
        format!("{}/{}/resolve/{}/{FILE}", self.hub.endpoint, self.repo.url(), self.repo.url_revision())
    }

    /// Returns the error for a hub that cannot be reached or does not have the file.
    fn failed(&self, reason: String) -> Error {
        let (model, url, place) = (self.card.name.clone(), self.url(), self.place());
        Error::Fetch { model, url, place, reason }
    }

    /// Downloads the file into the cache, where it appears only when it is complete.
    fn download(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf, Error> {
        let api = ApiBuilder::from_cache(Cache::new(self.hub.cache.clone()))
            .with_endpoint(self.hub.endpoint.clone())
            .with_token(self.hub.token.clone())
            .with_retries(RETRIES)
            .build()
            .map_err(|e| self.failed(reason(&e)))?
            .repo(self.repo.clone());
        let mut reporter = ProgressReporter { done: 0, total: 0, progress };
        let mut downloaded = attempt(&api, &mut reporter);
        if downloaded.as_ref().is_err_and(does_not_resume) {
            self.remove_parts();
            downloaded = attempt(&api, &mut reporter);
        }
        downloaded.map_err(|e| self.failed(reason(&e)))
    }

    /// Removes partial downloads.
    fn remove_parts(&self) {
        let blobs = std::fs::read_dir(self.folder().join("blobs")).into_iter().flatten().flatten();
        let parts =
            blobs.map(|blob| blob.path()).filter(|path| path.extension().is_some_and(|e| e == "part"));
        parts.for_each(|part| remove(&part));
    }

    /// Checks the sha256 of a file if it is known: from the model card, or from the name that the hub gave to its contents.
    fn check(&self, path: &Path) -> Result<(), Error> {
        let contents = path.canonicalize().ok();
        let given = contents.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let given = given.filter(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(expected) = self.card.sha256.as_deref().or(given) else { return Ok(()) };
        let found = File::open(path)
            .and_then(sha256)
            .map_err(|e| Error::UnreadableWeights { path: path.into(), reason: e.to_string() })?;
        match found.eq_ignore_ascii_case(expected) {
            true => Ok(()),
            false => Err(Error::WrongHash { path: path.into(), expected: expected.into(), found }),
        }
    }
}

/// Downloads the file, or the rest of it.
fn attempt(api: &ApiRepo, reporter: &mut ProgressReporter<'_>) -> Result<PathBuf, ApiError> {
    // hf-hub panics if a hub answers with a redirection to nowhere.
    let downloaded = catch_unwind(AssertUnwindSafe(|| api.download_with_progress(FILE, &mut *reporter)));
    let path = downloaded.unwrap_or(Err(ApiError::InvalidHeader("Location")))?;
    // It does not check the length of what it put together.
    if std::fs::metadata(&path)?.len() != reporter.total {
        remove(&path);
        return Err(ApiError::InvalidResume);
    }
    Ok(path)
}

/// Returns whether a partial download does not fit the file: it is as long already, or longer.
fn does_not_resume(error: &ApiError) -> bool {
    match error {
        ApiError::TooManyRetries(last) => does_not_resume(last),
        ApiError::RequestError(error) => matches!(**error, ureq::Error::StatusCode(416)),
        ApiError::InvalidResume => true,
        _ => false,
    }
}

/// Returns what went wrong, in words for a user.
fn reason(error: &ApiError) -> String {
    match error {
        ApiError::TooManyRetries(last) => reason(last),
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(404) => "the hub has no such file (404)".into(),
            ureq::Error::StatusCode(code @ (401 | 403)) => {
                format!("the hub needs a token with access to it, in HF_TOKEN ({code})")
            }
            _ => error.to_string(),
        },
        ApiError::InvalidResume => "the download has another length than the hub announced".into(),
        ApiError::MissingHeader(_) | ApiError::InvalidHeader(_) | ApiError::ParseIntError(_) => {
            format!("this is not the answer of a hub ({error})")
        }
        _ => error.to_string(),
    }
}

/// Removes a file of the cache, and the contents that it links to.
fn remove(path: &Path) {
    // What cannot be removed is found to be wrong again by the next call.
    if let Ok(contents) = path.canonicalize() {
        std::fs::remove_file(contents).ok();
    }
    std::fs::remove_file(path).ok();
}

/// Passes the progress of a download on.
struct ProgressReporter<'a> {
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Progress for &mut ProgressReporter<'_> {
    fn init(&mut self, size: usize, _: &str) {
        (self.done, self.total) = (0, size as u64);
        (self.progress)(0, self.total);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        (self.progress)(self.done, self.total);
    }

    fn finish(&mut self) {}
}
