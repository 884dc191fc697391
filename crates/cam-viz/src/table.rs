//! Enums declared as a table: one row per variant.

/// Declares an enum from the rows of a table. A row has at least the fields `name` and `help`.
///
/// The enum gets `ALL`, `name`, `help` and `row`, and is displayed and parsed by its name, so that no list of its variants is written
/// twice. An unknown name is the error variant after `unknown:`.
macro_rules! table {
    (
        $(#[$meta:meta])*
        pub enum $table:ident: $row:ident, unknown: $error:ident {
            $($(#[$variant_meta:meta])* $variant:ident => { $($field:ident: $value:expr),+ $(,)? },)+
        }
    ) => {
        $(#[$meta])*
        pub enum $table {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $table {
            /// All variants, in the order of lists.
            pub const ALL: [Self; [$($table::$variant),+].len()] = [$(Self::$variant),+];

            /// Returns the name by which it is parsed.
            pub fn name(self) -> &'static str {
                self.row().name
            }

            /// Returns a description in one line.
            pub fn help(self) -> &'static str {
                self.row().help
            }

            fn row(self) -> $row {
                match self {
                    $(Self::$variant => $row { $($field: $value),+ },)+
                }
            }
        }

        impl std::fmt::Display for $table {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $table {
            type Err = crate::Error;

            /// Parses a name, in any case.
            fn from_str(name: &str) -> Result<Self, crate::Error> {
                let matches = |one: &Self| one.name().eq_ignore_ascii_case(name);
                Self::ALL.into_iter().find(matches).ok_or_else(|| crate::Error::$error {
                    name: name.to_owned(),
                    known: Self::ALL.map(Self::name).join(", "),
                })
            }
        }
    };
}

pub(crate) use table;
