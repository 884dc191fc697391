//! Which of the devices found are tried, and in which order.

use crate::{Api, Error, Wanted};

/// What a device is made of, the one that is preferred first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A card of its own.
    Discrete,
    /// Part of the processor.
    Integrated,
    /// A share of a card, in a virtual machine.
    Virtual,
    /// Its driver does not say.
    Unsaid,
    /// The processor itself.
    Processor,
    /// A graphics API computed by the processor, such as llvmpipe: slower than the processor is without it.
    Software,
    /// Of another machine, which does not say.
    Remote,
}

impl Kind {
    /// Its name in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Unsaid => "unsaid",
            Self::Processor => "processor",
            Self::Software => "software",
            Self::Remote => "remote",
        }
    }
}

/// A device by its name: `vulkan:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// How it is reached.
    pub api: Api,
    /// Which of those that are reached so; the preferred kinds come first.
    pub number: usize,
    /// What it is made of.
    pub kind: Kind,
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.api {
            Api::Cpu => f.write_str("cpu"),
            api => write!(f, "{}:{}", api.name(), self.number),
        }
    }
}

/// The devices to try for one that is asked for, the best first.
///
/// `there` are those found; `built` says which ways are compiled in. Devices of other machines are not among those found.
///
/// # Errors
/// [`Error::NotBuilt`], [`Error::Nothing`] and [`Error::Number`], where the one asked for is not there.
pub fn candidates(wanted: Wanted, there: &[Id], built: impl Fn(Api) -> bool) -> Result<Vec<Id>, Error> {
    let of = |api: Api| -> Result<Vec<Id>, Error> {
        if !built(api) {
            return Err(Error::NotBuilt { api });
        }
        let mut ids: Vec<Id> = there.iter().filter(|id| id.api == api).copied().collect();
        ids.sort_by_key(|id| (id.kind, id.number));
        if ids.is_empty() { Err(Error::Nothing { api }) } else { Ok(ids) }
    };
    match wanted {
        Wanted::Auto => {
            let mut ids: Vec<Id> = there.iter().filter(|id| id.kind != Kind::Software).copied().collect();
            ids.sort_by_key(|id| (id.kind, id.api, id.number));
            Ok(ids)
        }
        Wanted::One(api, None) => of(api),
        Wanted::One(api, Some(number)) => {
            let ids = of(api)?;
            match ids.iter().find(|id| id.number == number) {
                Some(id) => Ok(vec![*id]),
                None => Err(Error::Number { api, number, count: ids.len() }),
            }
        }
        Wanted::All(api) => {
            let ids = of(api)?;
            let cards: Vec<Id> = ids.iter().filter(|id| id.kind != Kind::Software).copied().collect();
            Ok(if cards.is_empty() { ids } else { cards })
        }
        Wanted::Remote(_) => of(Api::Remote),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Discrete, Integrated, Processor, Software};

    const CPU: Id = Id { api: Api::Cpu, number: 0, kind: Processor };

    fn id(api: Api, number: usize, kind: Kind) -> Id {
        Id { api, number, kind }
    }

    fn names(wanted: &str, there: &[Id]) -> Result<Vec<String>, Error> {
        let found = candidates(wanted.parse()?, there, |api| api != Api::Metal)?;
        Ok(found.iter().map(Id::to_string).collect())
    }

    /// A laptop: two cards and a software driver, one of the cards reached by CUDA too.
    fn laptop() -> Vec<Id> {
        vec![
            CPU,
            id(Api::Wgpu, 0, Discrete),
            id(Api::Vulkan, 0, Discrete),
            id(Api::Vulkan, 1, Integrated),
            id(Api::Vulkan, 2, Software),
            id(Api::Cuda, 0, Discrete),
        ]
    }

    #[test]
    fn auto_takes_the_best_card_by_its_best_way_and_never_software() {
        assert_eq!(names("auto", &laptop()).unwrap(), ["cuda:0", "vulkan:0", "wgpu:0", "vulkan:1", "cpu"]);
    }

    #[test]
    fn a_software_driver_is_not_preferred_to_the_processor() {
        assert_eq!(names("auto", &[CPU, id(Api::Vulkan, 0, Software)]).unwrap(), ["cpu"]);
    }

    #[test]
    fn asked_for_by_name_software_will_do() {
        assert_eq!(names("vulkan", &[CPU, id(Api::Vulkan, 0, Software)]).unwrap(), ["vulkan:0"]);
        assert_eq!(names("vulkan", &laptop()).unwrap(), ["vulkan:0", "vulkan:1", "vulkan:2"]);
        assert_eq!(names("vulkan:2", &laptop()).unwrap(), ["vulkan:2"]);
    }

    #[test]
    fn all_are_all_cards() {
        assert_eq!(names("vulkan:all", &laptop()).unwrap(), ["vulkan:0", "vulkan:1"]);
        assert_eq!(names("vulkan:all", &[id(Api::Vulkan, 0, Software)]).unwrap(), ["vulkan:0"]);
        assert_eq!(names("cpu:all", &laptop()).unwrap(), ["cpu"]);
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert_eq!(names("metal", &laptop()), Err(Error::NotBuilt { api: Api::Metal }));
        assert_eq!(names("cuda", &[CPU]), Err(Error::Nothing { api: Api::Cuda }));
        assert_eq!(names("cuda:1", &laptop()), Err(Error::Number { api: Api::Cuda, number: 1, count: 1 }));
        assert_eq!(names("gpu", &laptop()), Err(Error::Unknown { asked: "gpu".into() }));
    }
}
