//! What is to be done about a service's containers: pure, from what is wanted and what is there.

/// A container of a service, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Its id.
    pub id: String,
    /// Its number in the service, from 1.
    pub number: usize,
    /// The hash of the configuration that it was made from.
    pub hash: String,
    /// The id of its image.
    pub image: String,
}

/// What a service is to be.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The hash of its configuration.
    pub hash: String,
    /// The id of its image.
    pub image: String,
    /// How many containers.
    pub scale: usize,
    /// Whether those that are as wanted are made anew too.
    pub force: bool,
    /// Whether those that differ stay.
    pub keep: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// It is as wanted.
    Keep(String),
    /// Make the one with this number, in place of the old one where there is one.
    Make(usize, Option<String>),
    /// It is one too many.
    Remove(String),
}

// ANCHOR: plan
/// What is to be done, lowest numbers first.
pub fn plan(wanted: &Wanted, observed: &[Observed]) -> Vec<Act> {
    let is_same = |container: &Observed| container.hash == wanted.hash && container.image == wanted.image;
    let mut found: Vec<_> = observed.iter().collect();
    // Of too many, those that are as wanted stay.
    found.sort_by_key(|container| (!is_same(container), container.number));
    let kept: Vec<_> = found.iter().take(wanted.scale).map(|container| container.number).collect();
    found.sort_by_key(|container| container.number);
    let mut acts: Vec<_> = found
        .iter()
        .map(|container| {
            let same = is_same(container);
            if !kept.contains(&container.number) {
                Act::Remove(container.id.clone())
            } else if !wanted.force && (same || wanted.keep) {
                Act::Keep(container.id.clone())
            } else {
                Act::Make(container.number, Some(container.id.clone()))
            }
        })
        .collect();
    let free = (1..).filter(|number| !found.iter().any(|container| container.number == *number));
    acts.extend(free.take(wanted.scale.saturating_sub(found.len())).map(|number| Act::Make(number, None)));
    acts
}
// ANCHOR_END: plan

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(number: usize, hash: &str) -> Observed {
        Observed { id: format!("c{number}"), number, hash: hash.to_owned(), image: "i".to_owned() }
    }

    #[test]
    fn only_what_differs_is_made_anew() {
        let wanted = Wanted { hash: "h".to_owned(), image: "i".to_owned(), scale: 2, ..Wanted::default() };
        let both = [observed(2, "old"), observed(1, "h")];
        let keep = |id: &str| Act::Keep(id.to_owned());
        assert_eq!(plan(&wanted, &both), [keep("c1"), Act::Make(2, Some("c2".to_owned()))]);
        assert_eq!(plan(&wanted, &[observed(2, "h")]), [keep("c2"), Act::Make(1, None)]);
        assert_eq!(plan(&Wanted { scale: 1, ..wanted.clone() }, &both), [keep("c1"), Act::Remove("c2".to_owned())]);
        let fresh = [observed(1, "old"), observed(2, "h")];
        assert_eq!(plan(&Wanted { scale: 1, ..wanted.clone() }, &fresh), [Act::Remove("c1".to_owned()), keep("c2")]);
        assert_eq!(plan(&Wanted { keep: true, ..wanted.clone() }, &both), [keep("c1"), keep("c2")]);
        let image = Wanted { image: "new".to_owned(), scale: 1, ..wanted };
        assert_eq!(plan(&image, &[observed(1, "h")]), [Act::Make(1, Some("c1".to_owned()))]);
    }
}
