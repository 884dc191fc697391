//! The kinds of objects a scene can hold.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A kind of object, in the order of the outputs of a model trained on the scenes.
///
/// ```
/// use cam_scenes::Class;
///
/// assert_eq!(Class::ALL.len(), 10);
/// assert_eq!(Class::ALL[Class::Fish.index()], Class::Fish);
/// assert_eq!("fish".parse::<Class>()?, Class::Fish);
/// # Ok::<(), cam_scenes::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A round beetle with dark spots on its wing cases.
    Ladybird,
    /// A toadstool: a domed cap with pale spots on a stem.
    Mushroom,
    /// A fish seen from its side, with scales or stripes.
    Fish,
    /// A half-moon slice of watermelon with rind and seeds.
    Watermelon,
    /// An alarm clock with a dial, two bells and two feet.
    Clock,
    /// A flower seen from above: petals about a dotted disc.
    Flower,
    /// A starfish with five bumpy arms.
    Starfish,
    /// A butterfly with its four wings open.
    Butterfly,
    /// A football of dark pentagons and pale hexagons.
    Football,
    /// A slice of pizza with toppings.
    Pizza,
}

impl Class {
    /// Every class, in the order of [`Class::index`].
    pub const ALL: [Self; 10] = [
        Self::Ladybird,
        Self::Mushroom,
        Self::Fish,
        Self::Watermelon,
        Self::Clock,
        Self::Flower,
        Self::Starfish,
        Self::Butterfly,
        Self::Football,
        Self::Pizza,
    ];

    /// Returns the index of this class in [`Class::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the class at `index`, if there is one.
    #[must_use]
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    /// Returns the English name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ladybird => "ladybird",
            Self::Mushroom => "mushroom",
            Self::Fish => "fish",
            Self::Watermelon => "watermelon",
            Self::Clock => "clock",
            Self::Flower => "flower",
            Self::Starfish => "starfish",
            Self::Butterfly => "butterfly",
            Self::Football => "football",
            Self::Pizza => "pizza",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Class {
    type Err = Error;

    /// Parses a [`Class::name`], in any case.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|class| class.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| Error::UnknownClass { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_name_round_trip() {
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), index);
            assert_eq!(Class::from_index(index), Some(class));
            assert_eq!(class.to_string().to_uppercase().parse(), Ok(class));
        }
        assert_eq!(Class::from_index(Class::ALL.len()), None);
    }

    #[test]
    fn an_unknown_name_is_an_error_that_names_it() {
        let error = "dragon".parse::<Class>().expect_err("no dragons");
        assert!(error.to_string().contains("dragon") && error.to_string().contains("ladybird"), "{error}");
    }
}
