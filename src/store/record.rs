//! What a type must say of itself to be kept: its tree, its key, its version, and how to read the version before.

use crate::Audited;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use types::{Error, Kind, Result};

/// A stored type. To change its shape: copy the old one to `mod v1`, make it `Previous`, raise `VERSION`, write
/// `upgrade`, and test on old bytes. Records of an older version are rewritten when the store is opened.
pub trait Record: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {
    const KIND: Kind;
    /// Names the collection on disk; never changes, holds no `/`.
    const TREE: &'static str;
    /// From 1.
    const VERSION: u8;
    /// The shape before this one; [`Never`] for the first.
    type Previous: Record;
    fn upgrade(previous: Self::Previous) -> Self;
    /// Unique in the tree, not empty; lists are in its order.
    fn key(&self) -> String;
    /// What people call it, for messages.
    fn name(&self) -> String {
        self.key()
    }
    /// What the audit log calls it.
    fn told(&self) -> String {
        self.name()
    }
    /// Whether and how the audit log tells of its changes.
    const AUDIT: Audited = Audited::ALWAYS;
    /// Texts that only one record of this tree may hold, such as `<environment>/<name>`. Records are found by them, also by how they begin.
    fn claims(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Has no values: the shape before the first.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum Never {}

impl Record for Never {
    const KIND: Kind = Kind::Operation;
    const TREE: &'static str = "never";
    const VERSION: u8 = 0;
    type Previous = Never;
    fn upgrade(previous: Never) -> Never {
        previous
    }
    fn key(&self) -> String {
        match *self {}
    }
}

/// For the first shape of a record: none came before it.
macro_rules! first_version {
    () => {
        type Previous = $crate::Never;
        fn upgrade(previous: $crate::Never) -> Self {
            match previous {}
        }
    };
}

/// Versions of a record that are read as the next one is: what they could not say yet is missing, and means what it did.
macro_rules! read_as_the_next {
    (@previous $record:ident) => {
        first_version!();
    };
    (@previous $record:ident $before:ident) => {
        type Previous = super::$before::$record;
        fn upgrade(previous: super::$before::$record) -> Self {
            $record(previous.0)
        }
    };
    ($($(#[$doc:meta])* mod $version:ident: $record:ident, $number:literal $(, after $before:ident)?;)*) => {$(
        $(#[$doc])*
        mod $version {
            #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
            #[serde(transparent)]
            pub struct $record(pub types::$record);

            impl $crate::Record for $record {
                const KIND: types::Kind = <types::$record as $crate::Record>::KIND;
                const TREE: &'static str = <types::$record as $crate::Record>::TREE;
                const VERSION: u8 = $number;
                read_as_the_next!(@previous $record $($before)?);
                fn key(&self) -> String {
                    $crate::Record::key(&self.0)
                }
            }
        }
    )*};
}

/// Reads a value written as `version`, through every shape in between.
pub fn decode<T: Record>(version: u8, json: &[u8]) -> Result<T> {
    if version > T::VERSION {
        return Err(newer::<T>(version));
    }
    if version == T::VERSION {
        return serde_json::from_slice(json).map_err(|error| Error::internal(format!("reading a stored {}", T::KIND), error));
    }
    Ok(T::upgrade(decode::<T::Previous>(version, json)?))
}

/// The refusal of a record from a newer binary.
pub fn newer<T: Record>(version: u8) -> Error {
    refused(format!(
        "a stored {} has version {version}, and this serverkit knows versions up to {}: it was written by a newer serverkit; start that one",
        T::KIND,
        T::VERSION
    ))
}

/// What marks errors about state that a newer binary wrote.
#[derive(Debug)]
struct Newer;

impl std::fmt::Display for Newer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("only the newer version can read it")
    }
}

impl std::error::Error for Newer {}

/// Refuses state of a newer binary, in words.
pub(crate) fn refused(words: String) -> Error {
    Error::unavailable_by(words, Newer)
}

/// Whether opening failed because another version wrote what this one does not understand, and for no other reason such
/// as a full disk.
pub fn is_newer(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let odd = error.downcast_ref::<serde_json::Error>().is_some_and(serde_json::Error::is_data);
        if odd || error.is::<Newer>() {
            return true;
        }
        cause = error.source();
    }
    false
}
