//! Keyset pages, addressed by the id they continue below (newest first) or above (oldest first), never by an offset.

use crate::error::Violation;

/// How many items a page may hold: 1 … 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit(u8);

impl Limit {
    const MAX: i64 = 100;

    /// # Errors
    /// When `value` is not in 1 … 100.
    pub fn parse(value: i64) -> Result<Self, Violation> {
        u8::try_from(value)
            .ok()
            .filter(|limit| (1..=Self::MAX).contains(&i64::from(*limit)))
            .map(Self)
            .ok_or(Violation {
                field: "limit",
                rule: "be a whole number from 1 to 100".into(),
                length: None,
            })
    }

    /// The limit as a count.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }

    /// What to ask the database for: one more than fits, which tells whether there is a next page.
    pub(crate) fn probe(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for Limit {
    /// 50, as the native contract has it.
    fn default() -> Self {
        Self(50)
    }
}

/// The id below which a page continues. Ids start at 1, so 1 is the smallest that makes sense.
///
/// # Errors
/// When `value` is below 1.
pub fn parse_before(value: i64) -> Result<i64, Violation> {
    parse_id("before", value)
}

/// The id above which a page of a list that runs from old to new continues.
///
/// # Errors
/// When `value` is below 1.
pub fn parse_after(value: i64) -> Result<i64, Violation> {
    parse_id("after", value)
}

fn parse_id(field: &'static str, value: i64) -> Result<i64, Violation> {
    if value < 1 {
        return Err(Violation {
            field,
            rule: "be the id of an item (1 or more)".into(),
            length: None,
        });
    }
    Ok(value)
}

/// Some items, newest first unless the list runs from old to new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most the limit asked for.
    pub items: Vec<T>,
    /// Pass this as `before` (as `after` where the list runs from old to new) for the next page; `None` on the last one.
    pub next: Option<i64>,
}

impl<T> Page<T> {
    /// A page from a probe of [`Limit::probe`] rows.
    pub(crate) fn from_probe(mut items: Vec<T>, limit: Limit, id: impl Fn(&T) -> i64) -> Self {
        let more = items.len() > limit.get();
        items.truncate(limit.get());
        let next = if more { items.last().map(id) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn walking_the_pages_shows_every_item_once_and_in_order(
            total in 0_i64..300, limit in 1_i64..=100
        ) {
            let limit = Limit::parse(limit).unwrap();
            let fetch = |before: i64| {
                let rows: Vec<i64> = (1..=total).rev().filter(|id| *id < before)
                    .take(usize::try_from(limit.probe()).unwrap()).collect();
                Page::from_probe(rows, limit, |id| *id)
            };
            let (mut seen, mut before) = (Vec::<i64>::new(), i64::MAX);
            loop {
                let page = fetch(before);
                prop_assert!(page.items.len() <= limit.get());
                seen.extend(&page.items);
                match page.next { Some(next) => before = next, None => break }
            }
            prop_assert_eq!(seen, (1..=total).rev().collect::<Vec<_>>());
        }

        #[test]
        fn a_list_from_old_to_new_is_walked_as_well(total in 0_i64..300, limit in 1_i64..=100) {
            let limit = Limit::parse(limit).unwrap();
            let fetch = |after: i64| {
                let rows: Vec<i64> = (1..=total).filter(|id| *id > after)
                    .take(usize::try_from(limit.probe()).unwrap()).collect();
                Page::from_probe(rows, limit, |id| *id)
            };
            let (mut seen, mut after) = (Vec::<i64>::new(), 0);
            loop {
                let page = fetch(after);
                prop_assert!(page.items.len() <= limit.get());
                seen.extend(&page.items);
                match page.next { Some(next) => after = parse_after(next).unwrap(), None => break }
            }
            prop_assert_eq!(seen, (1..=total).collect::<Vec<_>>());
        }

        #[test]
        fn a_page_continues_at_an_id(value: i64) {
            for (parsed, field) in [(parse_before(value), "before"), (parse_after(value), "after")] {
                match parsed {
                    Ok(id) => prop_assert!(id == value && id >= 1),
                    Err(violation) => prop_assert!(value < 1 && violation.field == field),
                }
            }
        }

        #[test]
        fn a_limit_is_1_to_100(value: i64) {
            prop_assert_eq!(Limit::parse(value).is_ok(), (1..=100).contains(&value));
        }
    }
}
