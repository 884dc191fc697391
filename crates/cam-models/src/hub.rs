//! Weights from the Hugging Face hub, fetched on first use into the cache that Python's `huggingface_hub` has too.

use crate::digest::sha256;
use crate::{Card, Error};
use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The file of timm's repositories.
const FILE: &str = "model.safetensors";

/// How often a connection that breaks is taken up again where it broke, less the one time that hf-hub always does.
const RETRIES: usize = 2;

/// Where weights come from and where they are kept.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The address of the hub, without a slash at the end.
    pub endpoint: String,
    /// The folder of the cache.
    pub cache: PathBuf,
    /// Who asks, for repositories that are not open.
    pub token: Option<String>,
    /// Whether only the cache is looked at.
    pub offline: bool,
}

impl Hub {
    /// The hub as the environment has it, by the rules of `huggingface_hub`: `HF_ENDPOINT`, `HF_HUB_CACHE` or the folder `hub`
    /// of `HF_HOME` (which is `~/.cache/huggingface`), `HF_TOKEN` or the file `token` of `HF_HOME`, `HF_HUB_OFFLINE`.
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

    /// The weight file of a model: from the cache, else from the hub. `progress` is told the bytes that are there and those
    /// that there will be.
    ///
    /// The file has the sha256 that its card names, or else the one that the hub has; a file that has not is removed. What was
    /// fetched in part is taken up by the next call.
    ///
    /// # Errors
    /// [`Error::NoWeights`] for a card without a repository, [`Error::Offline`], [`Error::Fetch`] and [`Error::WrongHash`].
    pub fn weights(&self, card: &Card, mut progress: impl FnMut(u64, u64)) -> Result<PathBuf, Error> {
        let Some(id) = &card.hub else {
            return Err(Error::NoWeights { model: card.name.clone(), url: card.url.clone() });
        };
        let repository = Repository { hub: self, card, repo: Repo::model(id.clone()) };
        let by_hand = repository.place();
        if by_hand.exists() {
            return repository.check(&by_hand).map(|()| by_hand);
        }
        let cached = Cache::new(self.cache.clone()).repo(repository.repo.clone()).get(FILE);
        if let Some(path) = cached {
            match repository.check(&path) {
                Err(Error::WrongHash { .. }) if !self.offline => remove(&path),
                checked => return checked.map(|()| path),
            }
        }
        if self.offline {
            let (url, place) = (repository.url(), by_hand);
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
    card: &'a Card,
    repo: Repo,
}

impl Repository<'_> {
    fn folder(&self) -> PathBuf {
        self.hub.cache.join(self.repo.folder_name())
    }

    /// Where a person puts the file who fetched it otherwise.
    fn place(&self) -> PathBuf {
        self.folder().join("snapshots").join(self.repo.revision()).join(FILE)
    }

    fn url(&self) -> String {
        format!("{}/{}/resolve/{}/{FILE}", self.hub.endpoint, self.repo.url(), self.repo.url_revision())
    }

    /// The hub cannot be reached or does not give the file.
    fn failed(&self, reason: String) -> Error {
        let (model, url, place) = (self.card.name.clone(), self.url(), self.place());
        Error::Fetch { model, url, place, reason }
    }

    /// Fetches the file into the cache, where it appears only when all of it is there.
    fn download(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf, Error> {
        let api = ApiBuilder::from_cache(Cache::new(self.hub.cache.clone()))
            .with_endpoint(self.hub.endpoint.clone())
            .with_token(self.hub.token.clone())
            .with_retries(RETRIES)
            .build()
            .map_err(|e| self.failed(reason(&e)))?
            .repo(self.repo.clone());
        let mut told = Told { done: 0, total: 0, progress };
        let mut fetched = attempt(&api, &mut told);
        if fetched.as_ref().is_err_and(is_at_odds) {
            self.forget_parts();
            fetched = attempt(&api, &mut told);
        }
        fetched.map_err(|e| self.failed(reason(&e)))
    }

    /// Removes what was fetched in part.
    fn forget_parts(&self) {
        let blobs = std::fs::read_dir(self.folder().join("blobs")).into_iter().flatten().flatten();
        let parts =
            blobs.map(|blob| blob.path()).filter(|path| path.extension().is_some_and(|e| e == "part"));
        parts.for_each(|part| remove(&part));
    }

    /// Makes sure of the sha256 of a file, where it is known: from the card, or from the name that the hub gave its contents.
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

/// Fetches the file, or what is left of it.
fn attempt(api: &ApiRepo, told: &mut Told<'_>) -> Result<PathBuf, ApiError> {
    // hf-hub panics where a hub answers with a redirection to nowhere.
    let fetched = catch_unwind(AssertUnwindSafe(|| api.download_with_progress(FILE, &mut *told)));
    let path = fetched.unwrap_or(Err(ApiError::InvalidHeader("Location")))?;
    // Nor does it look at what it put together.
    if std::fs::metadata(&path)?.len() != told.total {
        remove(&path);
        return Err(ApiError::InvalidResume);
    }
    Ok(path)
}

/// Whether what was fetched before does not fit what there is: all of it, or more, is there already.
fn is_at_odds(error: &ApiError) -> bool {
    match error {
        ApiError::TooManyRetries(last) => is_at_odds(last),
        ApiError::RequestError(error) => matches!(**error, ureq::Error::StatusCode(416)),
        ApiError::InvalidResume => true,
        _ => false,
    }
}

/// What went wrong, for a person.
fn reason(error: &ApiError) -> String {
    match error {
        ApiError::TooManyRetries(last) => reason(last),
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(404) => "the hub has no such file (404)".into(),
            ureq::Error::StatusCode(code @ (401 | 403)) => {
                format!("the hub wants a token that may read it, in HF_TOKEN ({code})")
            }
            _ => error.to_string(),
        },
        ApiError::InvalidResume => "what came has another length than the hub said".into(),
        ApiError::MissingHeader(_) | ApiError::InvalidHeader(_) | ApiError::ParseIntError(_) => {
            format!("that is no hub's answer ({error})")
        }
        _ => error.to_string(),
    }
}

/// Removes a file of the cache, and the contents that it stands for.
fn remove(path: &Path) {
    // What cannot be removed is found wrong again by the next call.
    if let Ok(contents) = path.canonicalize() {
        std::fs::remove_file(contents).ok();
    }
    std::fs::remove_file(path).ok();
}

/// Bytes that are there and those that there will be, as they are told on.
struct Told<'a> {
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Progress for &mut Told<'_> {
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
