//! A range of ids for each container, that no other container and no user has.

use crate::table::{Owner, SubRange, entries, ranges};

/// How many ids a container gets: all that programs use, 65534 (`nobody`) among them.
pub const RANGE: u32 = 65_536;

/// Where root's containers get their ids if /etc/subuid says nothing of root: what systemd's "Users, Groups, UIDs and
/// GIDs" keeps for containers, 524288 to 1879048191.
pub const DEFAULT_POOL: SubRange = SubRange { first: 524_288, count: 1_878_523_904 };

// ANCHOR: allocate
/// The first id of a [`RANGE`] in `pool` of which none is `taken`; `None` where all are.
///
/// Changes nothing: whoever calls it holds a lock until he has written the answer down.
pub fn allocate(pool: &[SubRange], taken: &[SubRange]) -> Option<u32> {
    let mut taken: Vec<SubRange> = taken.iter().copied().filter(|range| range.count > 0).collect();
    taken.sort_unstable_by_key(|range| range.first);
    pool.iter().find_map(|from| {
        let mut first = u64::from(from.first);
        for range in &taken {
            let before = first + u64::from(RANGE) <= u64::from(range.first);
            if !before {
                first = first.max(range.end());
            }
        }
        // The last id of all is nobody's.
        let end = from.end().min(u64::from(u32::MAX));
        (first + u64::from(RANGE) <= end).then_some(first as u32)
    })
}
// ANCHOR_END: allocate

/// How many [`RANGE`]s there are in `pool`, one after the other.
pub(crate) fn slots(pool: &[SubRange]) -> u64 {
    pool.iter().map(|from| u64::from(from.count / RANGE)).sum()
}

/// The first id of one of them, by its number; `None` where some of it is `taken`.
pub(crate) fn slot(pool: &[SubRange], taken: &[SubRange], mut number: u64) -> Option<u32> {
    let from = pool.iter().find(|from| {
        let here = u64::from(from.count / RANGE);
        let is_here = number < here;
        number -= if is_here { 0 } else { here };
        is_here
    })?;
    let range = SubRange { first: from.first + RANGE * number as u32, count: RANGE };
    let meets = |other: &SubRange| {
        u64::from(other.first) < range.end() && u64::from(range.first) < other.end() && other.count > 0
    };
    // The last id of all is nobody's.
    (u32::try_from(range.end()).is_ok() && !taken.iter().any(meets)).then_some(range.first)
}

/// The pool of root's containers, and what of it is taken by others, from the texts of /etc/subuid and /etc/subgid: ids
/// that both give to root, else [`DEFAULT_POOL`] without what they give to anybody.
pub fn pool(users: &str, groups: &str) -> (Vec<SubRange>, Vec<SubRange>) {
    let root = Owner { uid: 0, gid: 0, names: vec!["root".to_owned()] };
    let of_groups = ranges(groups, &root);
    let mut both: Vec<SubRange> = Vec::new();
    for user in ranges(users, &root) {
        both.extend(of_groups.iter().filter_map(|group| common(user, *group)));
    }
    if both.is_empty() {
        let all = entries(users).chain(entries(groups)).map(|(_, range)| range);
        return (vec![DEFAULT_POOL], all.collect());
    }
    (both, Vec::new())
}

fn common(a: SubRange, b: SubRange) -> Option<SubRange> {
    let first = a.first.max(b.first);
    let count = a.end().min(b.end()).checked_sub(u64::from(first))?;
    (count > 0).then_some(SubRange { first, count: u32::try_from(count).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u32, count: u32) -> SubRange {
        SubRange { first, count }
    }

    #[test]
    fn ranges_do_not_overlap_until_there_are_none() {
        let pool = [range(100_000, 3 * RANGE - 1), range(1_000_000, RANGE)];
        let mut taken = vec![range(100_010, 0)];
        let mut all = Vec::new();
        while let Some(first) = allocate(&pool, &taken) {
            all.push(first);
            taken.insert(0, range(first, RANGE));
        }
        assert_eq!(all, [100_000, 165_536, 1_000_000]);
        taken.retain(|range| range.first != 165_536);
        assert_eq!(allocate(&pool, &taken), Some(165_536), "what was given back is given again");
    }

    #[test]
    fn a_gap_is_used_where_it_is_large_enough() {
        let pool = [range(0, 10 * RANGE)];
        let taken = [range(3 * RANGE, 1), range(RANGE - 1, 1), range(5, 10)];
        assert_eq!(allocate(&pool, &taken), Some(RANGE));
        assert_eq!(allocate(&pool, &[taken[0], taken[1], taken[2], range(RANGE + 5, 1)]), Some(RANGE + 6));
    }

    #[test]
    fn slots_are_the_pool_s_ranges_without_those_of_others() {
        let pool = [range(100_000, 2 * RANGE + 5), range(7, RANGE - 1), range(u32::MAX - RANGE, RANGE)];
        let all = |taken: &[SubRange]| (0..slots(&pool)).map(|n| slot(&pool, taken, n)).collect::<Vec<_>>();
        assert_eq!(all(&[]), [Some(100_000), Some(100_000 + RANGE), Some(u32::MAX - RANGE)]);
        assert_eq!(all(&[range(100_000 + RANGE - 1, 1)]), [None, Some(100_000 + RANGE), Some(u32::MAX - RANGE)]);
        assert_eq!(all(&[range(0, 100_000), range(100_001, 0)])[0], Some(100_000));
        assert_eq!(slot(&pool, &[], 3), None);
    }

    #[test]
    fn the_last_id_is_nobody_s() {
        assert_eq!(allocate(&[range(u32::MAX - RANGE, RANGE)], &[]), Some(u32::MAX - RANGE));
        assert_eq!(allocate(&[range(u32::MAX - RANGE + 1, u32::MAX)], &[]), None);
    }

    #[test]
    fn the_pool_is_root_s_or_what_is_nobody_s() {
        assert_eq!(
            pool("root:100:200000\n0:900000:70000\n", "root:200:1000000\n").0,
            [range(200, 199_900), range(900_000, 70_000)]
        );
        let (default, taken) = pool("root:1:5\nalice:524288:65536\n", "bob:589824:65536\n");
        assert_eq!(allocate(&default, &taken), Some(524_288 + 2 * RANGE));
        assert_eq!(allocate(&pool("", "").0, &[]), Some(524_288));
    }
}
