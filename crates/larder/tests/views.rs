//! Views over several namespaces: one moment for all of them, and for which there are.

use larder::{ErrorKind, Metadata, Namespace, Result, Store};

fn namespace(name: &str) -> Namespace {
    Namespace::new(name).expect("a valid name")
}

async fn names(store: &Store, view: &larder::View) -> Result<Vec<String>> {
    let found = store.list_namespaces_at(view).await?;
    Ok(found.iter().map(|info| format!("{}{}", info.namespace.as_str(), if info.registered { "!" } else { "" })).collect())
}

/// What was created, filled, emptied and deleted since is as it was, also behind more keys than a page has.
#[tokio::test]
async fn namespaces_are_those_of_the_moment() -> Result<()> {
    let store = larder::open("memory:").await?;
    store.in_namespace(&namespace("emptied"))?.set("k", "v").await?;
    store.create_namespace(&namespace("unregistered"), Metadata::parse(br#"{"a":1}"#)?).await?;
    store.in_namespace(&namespace("zoo"))?.set("k", "before").await?;
    let view = store.view().await?;
    assert_eq!(names(&store, &view).await?, ["default", "emptied", "unregistered!", "zoo"]);

    let filled = store.in_namespace(&namespace("filled"))?;
    for answer in filled.set_many((0..2_500).map(|number| (format!("{number:05}"), "v"))).await {
        answer?;
    }
    store.create_namespace(&namespace("registered"), Metadata::default()).await?;
    store.in_namespace(&namespace("emptied"))?.delete("k").await?;
    store.delete_namespace(&namespace("unregistered"), false).await?;
    store.in_namespace(&namespace("zoo"))?.set("k", "after").await?;
    assert_eq!(names(&store, &view).await?, ["default", "emptied", "unregistered!", "zoo"]);
    assert_eq!(names(&store, &store.view().await?).await?, ["default", "filled", "registered!", "zoo"]);

    let zoo = view.within(&store.scope(&namespace("zoo"))?)?;
    assert_eq!((zoo.revision(), zoo.time()), (view.revision(), view.time()));
    assert_eq!(zoo.get("k").await?.expect("it was there").value.bytes(), "before");
    assert_eq!(view.within(&filled)?.count("").await?, 0);
    Ok(())
}

/// A revision of one store says nothing in another one.
#[tokio::test]
async fn a_view_is_of_one_store() -> Result<()> {
    let (one, other) = (larder::open("memory:").await?, larder::open("memory:").await?);
    let view = one.view().await?;
    let refused = view.within(&other).map(|_| ()).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::Invalid));
    assert_eq!(other.list_namespaces_at(&view).await.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
    Ok(())
}
