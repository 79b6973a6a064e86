//! Grouping the segments of HL7 v2 messages by their structures.

use proptest::prelude::*;
use silta_engine::native::hl7v2::schema::{
    Child, GroupTree, NoPlace, NodeIndex, NodeKind, Schema, Structure, Version, group,
};

fn structure(version: Version, message: &str, event: &str) -> &'static Structure {
    Schema::structure_for(version, message, event).unwrap()
}

/// `PROVIDER_CONTACT[2](PRD CTD)`: the tree as text; unexpected segments have a question mark.
fn shown(tree: &GroupTree<'_>, names: &[&str]) -> String {
    fn show(tree: &GroupTree<'_>, id: usize, names: &[&str], out: &mut Vec<String>) {
        for child in &tree.group(id).unwrap().children {
            match *child {
                Child::Segment(index) => {
                    let unexpected = tree.places()[index].is_unexpected();
                    out.push(format!("{}{}", names[index], if unexpected { "?" } else { "" }));
                }
                Child::Group(inner) => {
                    let group = tree.group(inner).unwrap();
                    let mut parts = Vec::new();
                    show(tree, inner, names, &mut parts);
                    let name = tree.structure().node(group.node).unwrap().name;
                    out.push(format!("{name}[{}]({})", group.occurrence, parts.join(" ")));
                }
            }
        }
    }
    let mut out = Vec::new();
    show(tree, 0, names, &mut out);
    out.join(" ")
}

fn grouped(structure: &'static Structure, text: &str) -> String {
    let names: Vec<&str> = text.split(' ').collect();
    shown(&group(structure, &names), &names)
}

fn missing(structure: &'static Structure, text: &str) -> Vec<(&'static str, usize)> {
    let names: Vec<&str> = text.split(' ').collect();
    let tree = group(structure, &names);
    tree.missing().iter().map(|missing| (structure.node(missing.node).unwrap().name, missing.before)).collect()
}

#[test]
fn a_referral_is_grouped() {
    let referral = structure(Version::V2_5_1, "REF", "I12");
    assert_eq!(
        grouped(
            referral,
            "MSH RF1 PRD CTD CTD PRD PID NK1 IN1 IN2 IN1 DG1 DG1 PR1 AUT OBR OBX NTE OBX OBR OBX PV1 NTE"
        ),
        "MSH RF1 PROVIDER_CONTACT[1](PRD CTD CTD) PROVIDER_CONTACT[2](PRD) PID NK1 INSURANCE[1](IN1 IN2) \
         INSURANCE[2](IN1) DG1 DG1 PROCEDURE[1](PR1 AUTHORIZATION_CONTACT[1](AUT)) \
         OBSERVATION[1](OBR RESULTS_NOTES[1](OBX NTE) RESULTS_NOTES[2](OBX)) OBSERVATION[2](OBR RESULTS_NOTES[1](OBX)) \
         PATIENT_VISIT[1](PV1) NTE"
    );
    assert_eq!(missing(referral, "MSH RF1 PRD PID"), []);
}

#[test]
fn results_without_order_control_begin_anew_at_each_request() {
    let results = structure(Version::V2_5_1, "ORU", "R01");
    assert_eq!(
        grouped(results, "MSH PID PV1 OBR NTE OBX NTE OBX OBR OBX SPM PID ORC OBR OBX"),
        "MSH PATIENT_RESULT[1](PATIENT[1](PID VISIT[1](PV1)) \
         ORDER_OBSERVATION[1](OBR NTE OBSERVATION[1](OBX NTE) OBSERVATION[2](OBX)) \
         ORDER_OBSERVATION[2](OBR OBSERVATION[1](OBX) SPECIMEN[1](SPM))) \
         PATIENT_RESULT[2](PATIENT[1](PID) ORDER_OBSERVATION[1](ORC OBR OBSERVATION[1](OBX)))"
    );
}

#[test]
fn a_second_order_is_an_order_and_not_a_prior_result() {
    let order = structure(Version::V2_5_1, "OMG", "O19");
    assert_eq!(
        grouped(order, "MSH PID ORC OBR OBX ORC OBR DG1 PID ORC OBR OBX"),
        "MSH PATIENT[1](PID) ORDER[1](ORC OBR OBSERVATION[1](OBX)) ORDER[2](ORC OBR DG1 \
         PRIOR_RESULT[1](PATIENT_PRIOR[1](PID) ORDER_PRIOR[1](ORC OBR OBSERVATION_PRIOR[1](OBX))))"
    );
    // The same where the sender leaves ORC out.
    assert_eq!(
        grouped(order, "MSH PID OBR OBX OBR OBX"),
        "MSH PATIENT[1](PID) ORDER[1](OBR OBSERVATION[1](OBX)) ORDER[2](OBR OBSERVATION[1](OBX))"
    );
    assert_eq!(missing(order, "MSH PID OBR OBX OBR"), [("ORC", 2), ("ORC", 4)]);
}

#[test]
fn an_order_segment_before_several_requests_is_of_the_first_and_the_others_are_orders_too() {
    for version in [Version::V2_3, Version::V2_5_1] {
        let order = structure(version, "ORM", "O01");
        assert_eq!(
            grouped(order, "MSH PID ORC OBR NTE OBR NTE OBX ORC OBR"),
            "MSH PATIENT[1](PID) ORDER[1](ORC ORDER_DETAIL[1](CHOICE[1](OBR) NTE)) \
             ORDER[2](ORDER_DETAIL[1](CHOICE[1](OBR) NTE OBSERVATION[1](OBX))) \
             ORDER[3](ORC ORDER_DETAIL[1](CHOICE[1](OBR)))"
        );
    }
    let laboratory = structure(Version::V2_5_1, "OML", "O21");
    assert_eq!(
        grouped(laboratory, "MSH PID ORC OBR OBX OBR DG1"),
        "MSH PATIENT[1](PID) ORDER[1](ORC OBSERVATION_REQUEST[1](OBR OBSERVATION[1](OBX))) \
         ORDER[2](OBSERVATION_REQUEST[1](OBR DG1))"
    );
    let order = structure(Version::V2_5_1, "OMG", "O19");
    assert_eq!(
        grouped(order, "MSH PID ORC OBR OBX OBR OBX"),
        "MSH PATIENT[1](PID) ORDER[1](ORC OBR OBSERVATION[1](OBX)) ORDER[2](OBR OBSERVATION[1](OBX))"
    );
    // What stands once in an order begins none.
    let order = structure(Version::V2_5_1, "ORM", "O01");
    assert_eq!(
        grouped(order, "MSH PID ORC OBR CTD CTD BLG BLG"),
        "MSH PATIENT[1](PID) ORDER[1](ORC ORDER_DETAIL[1](CHOICE[1](OBR) CTD CTD?) BLG BLG?)"
    );
}

#[test]
fn what_belongs_to_a_segment_without_a_place_is_of_nothing_before_it() {
    let order = structure(Version::V2_5_1, "ORM", "O01");
    let names = ["MSH", "PID", "NTE", "PID", "NTE", "PV1", "ORC", "OBR"];
    let tree = group(order, &names);
    assert_eq!(
        tree.places().iter().map(|place| place.astray).collect::<Vec<_>>(),
        [false, false, false, false, true, true, false, false]
    );
    assert_eq!(tree.unexpected().collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn problems_and_goals_are_grouped() {
    let problems = structure(Version::V2_5_1, "PPR", "PC1");
    assert_eq!(
        grouped(problems, "MSH PID PV1 PRB NTE ROL VAR ROL OBX GOL ROL OBX OBX ORC OBR PRB GOL GOL ORC RXO OBX"),
        "MSH PID PATIENT_VISIT[1](PV1) PROBLEM[1](PRB NTE PROBLEM_ROLE[1](ROL VAR) PROBLEM_ROLE[2](ROL) \
         PROBLEM_OBSERVATION[1](OBX) GOAL[1](GOL GOAL_ROLE[1](ROL) GOAL_OBSERVATION[1](OBX) GOAL_OBSERVATION[2](OBX)) \
         ORDER[1](ORC ORDER_DETAIL[1](CHOICE[1](OBR)))) PROBLEM[2](PRB GOAL[1](GOL) GOAL[2](GOL) \
         ORDER[1](ORC ORDER_DETAIL[1](CHOICE[1](RXO) ORDER_OBSERVATION[1](OBX))))"
    );
}

#[test]
fn segments_that_are_unknown_or_out_of_order_stay_where_they_are_and_are_named() {
    let referral = structure(Version::V2_5_1, "REF", "I12");
    assert_eq!(
        grouped(referral, "MSH ZRF RF1 PRD ZPR PRD PID ZZZ DG1 RF1"),
        "MSH ZRF? RF1 PROVIDER_CONTACT[1](PRD ZPR?) PROVIDER_CONTACT[2](PRD) PID ZZZ? DG1 RF1?"
    );
    // What comes late has its own place all the same, and what follows goes on from where the message was.
    assert_eq!(
        grouped(referral, "MSH RF1 PRD PID PV1 DG1 DG1 NTE OBR OBX NTE"),
        "MSH RF1 PROVIDER_CONTACT[1](PRD) PID PATIENT_VISIT[1](PV1) DG1? DG1? NTE OBSERVATION[1](OBR? RESULTS_NOTES[1](OBX NTE))"
    );
    assert_eq!(
        grouped(referral, "MSH PRD PID NK1 PRD CTD PRD NTE"),
        "MSH PROVIDER_CONTACT[1](PRD) PID NK1 PROVIDER_CONTACT[2](PRD? CTD) PROVIDER_CONTACT[3](PRD) NTE"
    );
    let admission = structure(Version::V2_5_1, "ADT", "A01");
    // PV1 before PID: PID is still to come, so PV1 is the one out of order and what follows keeps its place.
    assert_eq!(grouped(admission, "MSH EVN PV1 PID NK1 DG1"), "MSH EVN PV1? PID NK1 DG1");
    assert_eq!(missing(admission, "MSH EVN PV1 PID NK1 DG1"), []);
    // What comes before what it belongs behind is of its own place, those that follow each other of one group.
    let booking = structure(Version::V2_5_1, "SIU", "S12");
    assert_eq!(
        grouped(booking, "MSH PID PV1 SCH RGS AIS"),
        "MSH PATIENT[1](PID? PV1?) SCH RESOURCES[1](RGS SERVICE[1](AIS))"
    );
    let order = structure(Version::V2_5_1, "ORM", "O01");
    assert_eq!(
        grouped(order, "MSH PV1 PID ORC OBR"),
        "MSH PV1? PATIENT[1](PID) ORDER[1](ORC ORDER_DETAIL[1](CHOICE[1](OBR)))"
    );
    assert_eq!(missing(admission, "MSH"), [("EVN", 1), ("PID", 1), ("PV1", 1)]);
    assert_eq!(grouped(admission, "PID MSH MSH"), "PID? MSH MSH?");
    assert_eq!(group(admission, &[] as &[&str]).places().len(), 0);
}

#[test]
fn the_same_segment_finds_its_place_by_what_stands_around_it() {
    let admission = structure(Version::V2_5_1, "ADT", "A01");
    let names = ["MSH", "EVN", "PID", "ROL", "PV1", "ROL", "PR1", "ROL", "IN1", "ROL"];
    let tree = group(admission, &names);
    let nodes: Vec<NodeIndex> = [3, 5, 7, 9].map(|index| tree.places()[index].node.unwrap()).to_vec();
    assert!(nodes.windows(2).all(|pair| pair[0] < pair[1]), "{nodes:?}");
    assert_eq!(tree.around(7, "PROCEDURE"), tree.named("PROCEDURE").next().map(|(id, _)| id));
    assert_eq!(tree.around(5, "PROCEDURE"), None);
    assert_eq!(tree.group(tree.around(9, "INSURANCE").unwrap()).unwrap().segments, 8..10);
    // An unlinked pair of patients: the second PID is the second place.
    let unlink = structure(Version::V2_5_1, "ADT", "A37");
    assert_eq!(grouped(unlink, "MSH EVN PID PD1 PV1 PID PV1"), "MSH EVN PID PD1 PV1 PID PV1");
}

#[test]
fn a_new_segment_goes_where_the_structure_has_it() {
    let referral = structure(Version::V2_5_1, "REF", "I12");
    let names = ["MSH", "RF1", "PRD", "CTD", "ZPR", "PRD", "PID", "DG1", "ZDG", "OBR", "OBX", "PV1"];
    let tree = group(referral, &names);
    let after = |group, name| tree.insertion_point(group, name).map(|point| point.after);
    assert_eq!(after(0, "DG1"), Ok(Some(8)), "after the last of its kind and what the sender hung on it");
    assert_eq!(after(0, "NK1"), Ok(Some(6)));
    assert_eq!(after(0, "PRD"), Ok(Some(5)), "a new provider goes after the last");
    assert_eq!(after(0, "AUT"), Ok(Some(1)));
    assert_eq!(after(0, "NTE"), Ok(Some(11)));
    assert_eq!(after(0, "AL1"), Ok(Some(8)));
    assert_eq!(after(0, "PID"), Err(NoPlace::Full));
    assert_eq!(after(0, "CTD"), Err(NoPlace::NotInStructure), "it needs its PRD");
    assert_eq!(after(0, "PES"), Err(NoPlace::NotInStructure));
    assert_eq!(after(99, "PID"), Err(NoPlace::NoSuchGroup));
    let first_provider = tree.around(2, "PROVIDER_CONTACT").unwrap();
    assert_eq!(after(first_provider, "CTD"), Ok(Some(4)));
    let results = tree.around(9, "OBSERVATION").unwrap();
    assert_eq!(after(results, "OBX"), Ok(Some(10)));
    assert_eq!(after(results, "NTE"), Ok(Some(9)), "the note of the request, before its observations");
    let notes = tree.around(10, "RESULTS_NOTES").unwrap();
    assert_eq!(after(notes, "NTE"), Ok(Some(10)));
    let opened = tree.insertion_point(0, "PRD").unwrap();
    assert_eq!(opened.opens, [referral.group("PROVIDER_CONTACT").unwrap()]);
    assert_eq!(group(referral, &["RF1"]).insertion_point(0, "MSH").map(|point| point.after), Ok(None));
}

/// A valid message: each node as often as a choice from the seed says, within its limits.
fn valid(structure: &Structure, node: NodeIndex, seed: &mut u64, depth: u32, names: &mut Vec<&'static str>) {
    let of = structure.node(node).unwrap();
    if of.name == "PRIOR_RESULT" {
        // Without a PID of its own it reads as the next order; with one it has a test above.
        return;
    }
    let mut draw = |limit: u64| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % limit
    };
    let most = of.max.unwrap_or(3).min(3);
    let times =
        if draw(3) == 0 || depth > 6 { of.min } else { u16::try_from(draw(u64::from(most) + 1)).unwrap().max(of.min) };
    for _ in 0..times {
        match of.kind {
            NodeKind::Segment => names.push(of.name),
            NodeKind::AnySegment => names.push("OM7"),
            NodeKind::Group => {
                for child in structure.children(node) {
                    valid(structure, child, seed, depth + 1, names);
                }
            }
            NodeKind::Choice => {
                let children: Vec<NodeIndex> = structure.children(node).collect();
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let chosen = children[usize::try_from(*seed >> 33).unwrap() % children.len()];
                valid(structure, chosen, seed, depth + 1, names);
            }
        }
    }
}

fn message(structure: &Structure, seed: u64) -> Vec<&'static str> {
    let mut names = Vec::new();
    valid(structure, 0, &mut seed.wrapping_add(1), 0, &mut names);
    names
}

#[derive(Clone, Copy)]
struct Any(&'static Structure);

impl std::fmt::Debug for Any {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0.name(), self.0.version())
    }
}

fn any_structure() -> impl Strategy<Value = Any> {
    let mut structures: Vec<Any> =
        Version::ALL.into_iter().flat_map(|version| Schema::version(version).all_structures()).map(Any).collect();
    structures.sort_by_key(|Any(structure)| (structure.name(), structure.version()));
    proptest::sample::select(structures)
}

/// Every segment is in the tree once, and each group's range is from its first segment to its last; what stands among them
/// and is of a group further out came late.
fn check_tree(tree: &GroupTree<'_>, count: usize) {
    fn walk(tree: &GroupTree<'_>, id: usize, seen: &mut Vec<usize>) {
        let group = tree.group(id).unwrap();
        let begin = seen.len();
        for child in &group.children {
            match *child {
                Child::Segment(index) => {
                    assert_eq!(tree.places()[index].group, id);
                    seen.push(index);
                }
                Child::Group(inner) => {
                    assert_eq!(tree.group(inner).unwrap().parent, Some(id));
                    walk(tree, inner, seen);
                }
            }
        }
        let mut own = seen[begin..].to_vec();
        own.sort_unstable();
        assert_eq!(group.segments, own.first().map_or(0, |first| *first)..own.last().map_or(0, |last| last + 1));
        let others = group.segments.clone().filter(|index| own.binary_search(index).is_err());
        assert!(others.into_iter().all(|index| tree.places()[index].late), "group {id}");
    }
    let mut seen = Vec::new();
    walk(tree, 0, &mut seen);
    seen.sort_unstable();
    assert_eq!(seen, (0..count).collect::<Vec<_>>());
}

/// The structures whose valid messages can be read in two ways until more of the message is seen (an ORC that may
/// order a diet or a tray), so that a reading without looking ahead may leave something over.
const AMBIGUOUS: [&str; 11] = [
    "CSU_C09", "EHC_E15", "OMD_O01", "OMD_O03", "OML_O21", "ORD_O02", "ORD_O04", "OUL_R22", "OUL_R23", "OUL_R24",
    "SUR_P09",
];

fn is_ambiguous(structure: &Structure) -> bool {
    let container_or_order = structure.version() == Version::V2_4;
    AMBIGUOUS.contains(&structure.name()) && (structure.name() != "OML_O21" || container_or_order)
}

#[test]
fn only_messages_that_can_be_read_in_two_ways_leave_something_over() {
    let mut left_over = std::collections::BTreeSet::new();
    for version in Version::ALL {
        for structure in Schema::version(version).all_structures() {
            for seed in 0..60u64 {
                let names = message(structure, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                let tree = group(structure, &names);
                if tree.unexpected().next().is_some() || !tree.missing().is_empty() {
                    assert!(is_ambiguous(structure), "{} {}", structure.name(), structure.version());
                    left_over.insert(structure.name());
                }
            }
        }
    }
    assert_eq!(left_over.into_iter().collect::<Vec<_>>(), AMBIGUOUS);
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 20_000, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_valid_message_has_nothing_unexpected_or_missing(Any(structure) in any_structure(), seed in any::<u64>()) {
        let names = message(structure, seed);
        let tree = group(structure, &names);
        check_tree(&tree, names.len());
        if !is_ambiguous(structure) {
            prop_assert_eq!(tree.unexpected().collect::<Vec<_>>(), Vec::<usize>::new(), "{} {}: {}", structure.name(), structure.version(), shown(&tree, &names));
            prop_assert!(tree.missing().is_empty(), "{} {}: {}", structure.name(), structure.version(), shown(&tree, &names));
        }
    }

    #[test]
    fn any_list_of_segments_is_grouped_whole(
        Any(structure) in any_structure(),
        seed in any::<u64>(),
        noise in proptest::collection::vec((any::<prop::sample::Index>(), "[A-Z][A-Z][A-Z1-9]"), 0..12),
        swaps in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
    ) {
        let mut names: Vec<String> = message(structure, seed).into_iter().map(str::to_owned).collect();
        for (at, name) in noise {
            let at = at.index(names.len() + 1);
            names.insert(at, name);
        }
        for (one, other) in swaps {
            let (one, other) = (one.index(names.len()), other.index(names.len()));
            names.swap(one, other);
        }
        let tree = group(structure, &names);
        check_tree(&tree, names.len());
    }

    #[test]
    fn inserting_a_segment_at_its_point_keeps_a_message_valid(Any(structure) in any_structure(), seed in any::<u64>(), pick in any::<prop::sample::Index>()) {
        let names = message(structure, seed);
        let tree = group(structure, &names);
        let id = pick.index(tree.groups().len());
        let group_node = tree.group(id).unwrap().node;
        let of_group = structure.node(group_node).unwrap();
        prop_assume!(!is_ambiguous(structure) && of_group.kind == NodeKind::Group && tree.unexpected().next().is_none() && tree.missing().is_empty());
        for child in structure.children(group_node) {
            let segment = structure.node(child).unwrap();
            if segment.kind != NodeKind::Segment {
                continue;
            }
            let Ok(point) = tree.insertion_point(id, segment.name) else { continue };
            let mut longer = names.clone();
            longer.insert(point.after.map_or(0, |after| after + 1), segment.name);
            let grown = group(structure, &longer);
            prop_assert!(grown.unexpected().next().is_none(), "{} {} {}: {}", structure.name(), structure.version(), segment.name, shown(&grown, &longer));
            prop_assert_eq!(grown.missing().len(), 0, "{} {} {}: {}", structure.name(), structure.version(), segment.name, shown(&grown, &longer));
        }
    }
}
