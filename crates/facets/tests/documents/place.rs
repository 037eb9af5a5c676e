//! Where the documents of a test are: in memory, and in a file.

use larder::{ErrorKind, Result, Store, documents::Collection, documents::Documents};
use serde_json::{Value, json};

/// A store, and the folder that goes with it when it is gone.
pub(crate) struct Place {
    pub(crate) engine: &'static str,
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

/// A fresh store on each engine.
pub(crate) async fn everywhere() -> Result<Vec<Place>> {
    let folder = || tempfile::tempdir().expect("a folder for the test");
    let (one, other) = (folder(), folder());
    let file = format!("sqlite:{}", other.path().join("documents.db").display());
    Ok(vec![
        Place { engine: "memory", store: larder::open("memory:").await?, _folder: one },
        Place { engine: "sqlite", store: larder::open(&file).await?, _folder: other },
    ])
}

impl Place {
    pub(crate) fn collection(&self, name: &str) -> Result<Collection> {
        Documents::new(&self.store).collection(name)
    }

    /// People with names, and ages from 0 on.
    pub(crate) async fn people(&self) -> Result<Collection> {
        let people = self.collection("people")?;
        people.set_schema(person()).await?;
        Ok(people)
    }
}

pub(crate) fn person() -> Value {
    json!({
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name"],
    })
}

/// What became of something, for comparing.
pub(crate) fn kind<T>(result: Result<T>) -> Result<(), ErrorKind> {
    result.map(drop).map_err(|error| error.kind())
}
