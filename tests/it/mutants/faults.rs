//! The kinds of fault, each made wherever a document has room for it.

use serde_json::{Value, json};
use silta_engine::definitions::{Element, Kind, Model, Strength, TypeId};
use silta_engine::terminology::Membership;
use silta_engine::validation::Validator;

use super::places::{self, Object, Place};
use super::{Dice, Mutant};

/// A constraint's key, the type it is on, and what breaks it.
type Broken = (&'static str, &'static str, fn(&mut Value));

/// What mutants of one document are made from.
struct Maker<'m> {
    sound: &'m Value,
    places: Vec<Place>,
    objects: Vec<Object>,
    dice: &'m mut Dice,
    most: usize,
    made: Vec<Mutant>,
}

/// A fault at a place: the document changed, and the path where it must be told.
type Fault = (Value, String);

pub(super) fn of(sound: &Value, dice: &mut Dice, most: usize, validator: &Validator) -> Vec<Mutant> {
    let (places, objects) = places::of(sound);
    let mut maker = Maker { sound, places, objects, dice, most, made: Vec::new() };
    maker.structure();
    maker.shapes();
    maker.values(validator);
    maker.references();
    maker.extensions();
    maker.invariants();
    maker.made
}

impl Maker<'_> {
    /// Keeps some of the faults of a kind.
    fn keep(&mut self, kind: &'static str, faults: Vec<Fault>) {
        for (document, path) in self.dice.some(faults, self.most) {
            self.made.push(Mutant { kind, document, path, profile: None });
        }
    }

    fn changed(&self, pointer: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut document = self.sound.clone();
        change(document.pointer_mut(pointer).unwrap());
        document
    }

    /// A fault of a kind at every place that fits.
    fn at_places(&mut self, kind: &'static str, fault: impl Fn(&Self, &Place) -> Option<Fault>) {
        let faults = self.places.iter().filter_map(|place| fault(self, place)).collect();
        self.keep(kind, faults);
    }

    fn at_objects(&mut self, kind: &'static str, fault: impl Fn(&Self, &Object) -> Option<Fault>) {
        let faults = self.objects.iter().filter_map(|object| fault(self, object)).collect();
        self.keep(kind, faults);
    }

    fn element(place: &Place) -> Element<'static> {
        Model::r4().element(place.element)
    }

    fn structure(&mut self) {
        self.at_objects("unknown-element-top", |maker, object| {
            let is_resource = Model::r4().kind(object.type_id) == Kind::Resource;
            let document = maker.changed(&object.pointer, |value| value["sillyName"] = "x".into());
            is_resource.then(|| (document, object.path.clone()))
        });
        self.at_objects("unknown-element-nested", |maker, object| {
            let is_resource = Model::r4().kind(object.type_id) == Kind::Resource;
            let document = maker.changed(&object.pointer, |value| value["sillyName"] = json!({"x": 1}));
            (!is_resource).then(|| (document, object.path.clone()))
        });
        self.at_places("required-missing", |maker, place| {
            let element = Self::element(place);
            let fits = element.min() > 0 && place.name != "resourceType";
            let document = maker.changed(&place.holder, |value| {
                value.as_object_mut().unwrap().remove(&place.name);
                value.as_object_mut().unwrap().remove(&format!("_{}", place.name));
            });
            fits.then(|| (document, place.holder_path.clone()))
        });
        self.at_places("two-types-of-a-choice", |maker, place| {
            let element = Self::element(place);
            if !element.is_choice() {
                return None;
            }
            let model = Model::r4();
            let (name, value) = [("boolean", json!(true)), ("dateTime", json!("2020")), ("string", json!("x"))]
                .into_iter()
                .find_map(|(type_name, value)| {
                    let choice = element.types().find(|choice| model.type_name(choice.type_id()) == type_name)?;
                    let name = model.name(choice.symbol()).to_owned();
                    (name > place.name).then_some((name, value))
                })?;
            let document = maker.changed(&place.holder, |held| held[&name] = value.clone());
            Some((document, place.holder_path.clone()))
        });
        self.at_places("too-many", |maker, place| {
            let max = usize::from(Self::element(place).max()?);
            let fits = place.repetitions.is_some() && max > 0;
            let document = maker.changed(&place.member, |value| {
                let Some(items) = value.as_array_mut() else { return };
                while items.len() <= max {
                    items.push(items[0].clone());
                }
            });
            fits.then(|| (document, place.holder_path.clone()))
        });
        self.at_objects("contained-of-no-type", |maker, object| {
            if object.path.contains(".contained") || !Self::can_contain(object) {
                return None;
            }
            let before = maker.sound.pointer(&object.pointer).unwrap()["contained"].as_array().map_or(0, Vec::len);
            let document = maker.changed(&object.pointer, |value| {
                let patent = json!({"resourceType": "Patent", "id": "nobody"});
                push(value, "contained", patent);
            });
            Some((document, format!("{}.contained[{before}]", object.path)))
        });
        self.at_objects("contained-without-id", |maker, object| {
            if object.path.contains(".contained") || !Self::can_contain(object) {
                return None;
            }
            let before = maker.sound.pointer(&object.pointer).unwrap()["contained"].as_array().map_or(0, Vec::len);
            let document = maker.changed(&object.pointer, |value| {
                push(value, "contained", json!({"resourceType": "Organization", "name": "x"}));
            });
            Some((document, format!("{}.contained[{before}]", object.path)))
        });
        self.at_objects("contained-unused", |maker, object| {
            if object.path.contains(".contained") || !Self::can_contain(object) {
                return None;
            }
            let before = maker.sound.pointer(&object.pointer).unwrap()["contained"].as_array().map_or(0, Vec::len);
            let document = maker.changed(&object.pointer, |value| {
                let unused = json!({"resourceType": "Organization", "id": "unused-here", "name": "x"});
                push(value, "contained", unused);
            });
            Some((document, format!("{}.contained[{before}]", object.path)))
        });
    }

    fn can_contain(object: &Object) -> bool {
        let model = Model::r4();
        model.type_named("DomainResource").is_some_and(|domain| model.is_a(object.type_id, domain))
    }

    fn shapes(&mut self) {
        self.at_places("scalar-for-array", |maker, place| {
            if place.repetitions != Some(1) || place.is_resource() {
                return None;
            }
            let document = maker.changed(&place.member, |value| *value = value[0].take());
            Some((document, place.member_path.clone()))
        });
        self.at_places("array-for-scalar", |maker, place| {
            let fits = place.repetitions.is_none();
            let document = maker.changed(&place.pointer, |value| *value = json!([value.take()]));
            fits.then(|| (document, place.path.clone()))
        });
        self.at_places("empty-array", |maker, place| {
            let fits = place.repetitions.is_some();
            let document = maker.changed(&place.member, |value| *value = json!([]));
            fits.then(|| (document, place.member_path.clone()))
        });
        self.at_places("empty-object", |maker, place| {
            let fits = !place.is_primitive() && !place.is_resource();
            let document = maker.changed(&place.pointer, |value| *value = json!({}));
            fits.then(|| (document, place.path.clone()))
        });
        self.at_places("empty-string", |maker, place| {
            let is_text = maker.sound.pointer(&place.pointer).unwrap().is_string();
            let document = maker.changed(&place.pointer, |value| *value = "".into());
            is_text.then(|| (document, place.path.clone()))
        });
        self.at_places("null", |maker, place| {
            let document = maker.changed(&place.pointer, |value| *value = Value::Null);
            Some((document, place.path.clone()))
        });
        self.at_places("number-for-string", |maker, place| {
            let is_text = maker.sound.pointer(&place.pointer).unwrap().is_string();
            let document = maker.changed(&place.pointer, |value| *value = 7.into());
            is_text.then(|| (document, place.path.clone()))
        });
        self.at_places("string-for-number-or-boolean", |maker, place| {
            let value = maker.sound.pointer(&place.pointer).unwrap();
            let document = maker.changed(&place.pointer, |held| *held = value.to_string().into());
            (value.is_number() || value.is_boolean()).then(|| (document, place.path.clone()))
        });
        self.at_places("string-for-object", |maker, place| {
            let fits = !place.is_primitive() && !place.is_resource();
            let document = maker.changed(&place.pointer, |value| *value = "x".into());
            fits.then(|| (document, place.path.clone()))
        });
        self.at_places("object-for-primitive", |maker, place| {
            let document = maker.changed(&place.pointer, |value| *value = json!({"value": value.take()}));
            place.is_primitive().then(|| (document, place.path.clone()))
        });
    }

    fn values(&mut self, validator: &Validator) {
        let forms: [(&'static str, &[&str], Value); 15] = [
            ("bad-date", &["date"], "2023-02-30".into()),
            ("bad-date-time", &["dateTime", "instant"], "2023-02-10T25:00:00Z".into()),
            ("date-time-without-zone", &["dateTime", "instant"], "2023-02-10T10:00:00".into()),
            ("instant-without-time", &["instant"], "2023-02-10".into()),
            ("bad-time", &["time"], "7:00".into()),
            ("bad-code", &["code"], "two  spaces".into()),
            ("bad-id", &["id"], "under_score".into()),
            ("bad-uri", &["uri", "url", "canonical"], "http://example.org/a b".into()),
            ("bad-uuid", &["uri"], "urn:uuid:123".into()),
            ("bad-oid", &["uri"], "urn:oid:3.x".into()),
            ("bad-positive", &["positiveInt"], 0.into()),
            ("bad-unsigned", &["unsignedInt"], (-1).into()),
            ("bad-integer", &["integer"], 1.5.into()),
            ("too-large-integer", &["integer", "positiveInt", "unsignedInt"], 2_147_483_648_u64.into()),
            ("bad-base64", &["base64Binary"], "a*b=".into()),
        ];
        for (kind, types, value) in forms {
            self.at_places(kind, |maker, place| {
                let fits = types.contains(&place.type_name());
                let document = maker.changed(&place.pointer, |held| *held = value.clone());
                fits.then(|| (document, place.path.clone()))
            });
        }
        self.at_places("control-character", |maker, place| {
            let fits = matches!(place.type_name(), "string" | "markdown");
            let document = maker.changed(&place.pointer, |held| *held = "a\u{1}b".into());
            fits.then(|| (document, place.path.clone()))
        });
        let outside = |place: &Place, system: Option<&str>, code: &str| {
            let required = Self::element(place).binding().filter(|(strength, _)| *strength == Strength::Required);
            required.is_some_and(|(_, set)| validator.terminology().contains(set, system, code) == Membership::Out)
        };
        self.at_places("code-outside-of-required-binding", |maker, place| {
            let fits = place.type_name() == "code" && outside(place, None, "zz-no-such");
            let document = maker.changed(&place.pointer, |held| *held = "zz-no-such".into());
            fits.then(|| (document, place.path.clone()))
        });
        self.at_places("concept-outside-of-required-binding", |maker, place| {
            let system = "http://example.org/no-such";
            let fits = place.type_name() == "CodeableConcept" && outside(place, Some(system), "zz-no-such");
            let coding = json!({"coding": [{"system": system, "code": "zz-no-such"}]});
            let document = maker.changed(&place.pointer, |held| *held = coding);
            fits.then(|| (document, place.path.clone()))
        });
    }

    fn references(&mut self) {
        let model = Model::r4();
        self.at_places("dangling-fragment", |maker, place| {
            let fits = place.type_name() == "Reference";
            let document = maker.changed(&place.pointer, |held| *held = json!({"reference": "#nothing-here"}));
            fits.then(|| (document, place.path.clone()))
        });
        self.at_places("wrong-target", |maker, place| {
            if place.type_name() != "Reference" {
                return None;
            }
            let targets: Vec<TypeId> = Self::element(place)
                .types()
                .flat_map(|choice| {
                    choice.targets().map(|target| target.rsplit('/').next().unwrap()).collect::<Vec<_>>()
                })
                .map(|name| model.type_named(name).unwrap())
                .collect();
            let wrong = ["Slot", "Patient", "VisionPrescription", "Measure"].into_iter().find(|name| {
                let id = model.type_named(name).unwrap();
                !targets.is_empty() && !targets.iter().any(|target| model.is_a(id, *target))
            })?;
            let reference = format!("{wrong}/1");
            let document = maker.changed(&place.pointer, |held| *held = json!({"reference": reference}));
            Some((document, place.path.clone()))
        });
        self.at_places("type-of-another-target", |maker, place| {
            let reference = maker.sound.pointer(&place.pointer)?["reference"].as_str()?;
            let (of, _) = reference.split_once('/').filter(|(of, _)| model.type_named(of).is_some())?;
            let other = if of == "Patient" { "Group" } else { "Patient" };
            let document = maker.changed(&place.pointer, |held| held["type"] = other.into());
            (place.type_name() == "Reference").then(|| (document, place.path.clone()))
        });
    }

    /// Adds an extension to every object that may have one.
    fn extended(&mut self, kind: &'static str, name: &str, extension: &Value, below: &str) {
        let model = Model::r4();
        let symbol = model.symbol(name);
        self.at_objects(kind, |maker, object| {
            model.child(object.type_id, symbol)?;
            // An extension that has a value has no extensions.
            let is_free = model.type_name(object.type_id) != "Extension";
            let before = maker.sound.pointer(&object.pointer)?[name].as_array().map_or(0, Vec::len);
            let document = maker.changed(&object.pointer, |value| push(value, name, extension.clone()));
            is_free.then(|| (document, format!("{}.{name}[{before}]{below}", object.path)))
        });
    }

    fn extensions(&mut self) {
        let url = "http://example.org/fhir/StructureDefinition/any";
        self.extended("extension-without-url", "extension", &json!({"valueString": "x"}), "");
        let both = json!({"url": url, "valueString": "x", "extension": [{"url": "y", "valueString": "z"}]});
        self.extended("extension-with-value-and-parts", "extension", &both, "");
        self.extended("extension-with-nothing", "extension", &json!({"url": url}), "");
        let unknown = json!({"url": "http://hl7.org/fhir/StructureDefinition/no-such-extension", "valueString": "x"});
        self.extended("unknown-extension-of-fhir", "extension", &unknown, "");
        let modifier = json!({"url": url, "valueString": "x"});
        self.extended("unknown-modifier-extension", "modifierExtension", &modifier, "");
        let mistyped =
            json!({"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueString": "unknown"});
        self.extended("extension-of-another-type", "extension", &mistyped, "");
        self.at_objects("extension-out-of-its-place", |maker, object| {
            let name = Model::r4().type_name(object.type_id);
            let fits = Self::can_contain(object) && name != "Patient";
            let birth = json!({"url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
                "valueAddress": {"city": "Tampere"}});
            let document = maker.changed(&object.pointer, |value| push(value, "extension", birth));
            fits.then(|| (document, object.path.clone()))
        });
    }

    /// Constraints of types and resources, broken one by one.
    fn invariants(&mut self) {
        let by_type: [Broken; 8] = [
            ("per-1", "Period", |held| *held = json!({"start": "2020-01-02", "end": "2020-01-01"})),
            ("cpt-2", "ContactPoint", |held| *held = json!({"value": "040"})),
            ("qty-3", "Quantity", |held| *held = json!({"value": 1, "code": "kg"})),
            ("att-1", "Attachment", |held| *held = json!({"data": "AAAA"})),
            ("rng-2", "Range", |held| *held = json!({"low": {"value": 2}, "high": {"value": 1}})),
            ("tim-1", "Timing", |held| *held = json!({"repeat": {"duration": 1}})),
            ("txt-1", "Narrative", |held| {
                held["div"] = "<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>x</script></div>".into();
            }),
            ("rat-1", "Ratio", |held| *held = json!({"numerator": {"value": 1}})),
        ];
        for (kind, type_name, change) in by_type {
            self.at_places(kind, |maker, place| {
                let fits = place.type_name() == type_name;
                let below = match kind {
                    "tim-1" => ".repeat",
                    "txt-1" => ".div",
                    _ => "",
                };
                fits.then(|| (maker.changed(&place.pointer, change), format!("{}{below}", place.path)))
            });
        }
        let by_resource: [(Broken, &str); 9] = [
            (("pat-1", "Patient", |held| push(held, "contact", json!({"gender": "male"}))), ".contact[*]"),
            (
                ("cpl-3", "CarePlan", |held| {
                    let both = json!({"reference": {"reference": "Task/1"}, "detail": {"status": "scheduled"}});
                    push(held, "activity", both);
                }),
                ".activity[*]",
            ),
            (("gol-1", "Goal", |held| push(held, "target", json!({"detailString": "x"}))), ".target[*]"),
            (
                ("prr-1", "ServiceRequest", |held| {
                    held.as_object_mut().unwrap().remove("code");
                    held["orderDetail"] = json!([{"text": "x"}]);
                }),
                "",
            ),
            (
                ("tsk-inv-1", "Task", |held| {
                    held["authoredOn"] = "2020-01-02".into();
                    held["lastModified"] = "2020-01-01".into();
                }),
                "",
            ),
            (
                ("ctm-1", "CareTeam", |held| {
                    push(held, "contained", json!({"resourceType": "Patient", "id": "p9"}));
                    let held_by =
                        json!({"member": {"reference": "#p9"}, "onBehalfOf": {"reference": "Organization/1"}});
                    push(held, "participant", held_by);
                }),
                ".participant[*]",
            ),
            (
                ("dom-4", "Patient", |held| {
                    push(
                        held,
                        "contained",
                        json!({"resourceType": "Organization", "id": "o9", "name": "x",
                    "meta": {"versionId": "1"}}),
                    );
                    held["managingOrganization"] = json!({"reference": "#o9"});
                }),
                "",
            ),
            (
                ("bdl-7", "Bundle", |held| {
                    for _ in 0..2 {
                        push(
                            held,
                            "entry",
                            json!({"fullUrl": "urn:uuid:0b1c2d3e-0000-4000-8000-00000000000a",
                        "resource": {"resourceType": "Basic", "code": {"text": "x"}}}),
                        );
                    }
                }),
                "",
            ),
            (
                ("bdl-1", "Bundle", |held| {
                    held["type"] = "collection".into();
                    held["total"] = 3.into();
                }),
                "",
            ),
        ];
        for ((kind, type_name, change), below) in by_resource {
            self.at_objects(kind, |maker, object| {
                if Model::r4().type_name(object.type_id) != type_name || object.path.contains(".contained") {
                    return None;
                }
                let document = maker.changed(&object.pointer, change);
                let member = below.trim_start_matches('.').trim_end_matches("[*]");
                let last = document.pointer(&object.pointer)?[member].as_array().map_or(0, Vec::len);
                let below = below.replace('*', &last.saturating_sub(1).to_string());
                let fits = kind != "bdl-7" || maker.sound["type"] == "collection";
                fits.then(|| (document, format!("{}{below}", object.path)))
            });
        }
    }
}

/// Adds a repetition.
fn push(value: &mut Value, name: &str, item: Value) {
    match value[name].as_array_mut() {
        Some(items) => items.push(item),
        None => value[name] = json!([item]),
    }
}

/// A change of a sound document, as a JSON pointer with what to put there (null: nothing), and where it must be told.
type Change = (&'static str, &'static str, Value, &'static str);

/// Documents that conform to the profiles of the program, each with faults against its profile.
pub(super) fn profiled() -> Vec<(&'static str, Vec<Mutant>)> {
    let of = |profile: &'static str, sound: &Value, changes: Vec<Change>| {
        let mutants = changes
            .into_iter()
            .map(|(kind, pointer, put, path)| {
                let mut document = sound.clone();
                if put.is_null() {
                    let (holder, name) = pointer.rsplit_once('/').unwrap();
                    match document.pointer_mut(holder).unwrap() {
                        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                        held => drop(held.as_object_mut().unwrap().remove(name)),
                    }
                } else {
                    *document.pointer_mut(pointer).unwrap() = put;
                }
                Mutant { kind, document, path: path.to_owned(), profile: Some(profile) }
            })
            .collect();
        (profile, mutants)
    };
    let patient = json!({
        "resourceType": "Patient",
        "extension": [{"url": "https://silta.example/fhir/fi/StructureDefinition/fi-municipality",
            "valueCoding": {"system": "urn:oid:1.2.246.537.6.21", "code": "837"}}],
        "identifier": [
            {"use": "official", "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NNFIN"}]},
                "system": "urn:oid:1.2.246.21", "value": "140347-9120"},
            {"use": "secondary", "system": "urn:oid:1.2.3", "value": "x"},
        ],
    });
    let team = json!({
        "resourceType": "CareTeam", "status": "active", "subject": {"reference": "Patient/1"},
        "participant": [{"role": [{"coding": [{"system": "https://silta.example/fhir/fi/CodeSystem/care-team-role",
            "code": "own-worker"}]}], "member": {"reference": "Practitioner/1"}}],
    });
    let bp = json!({
        "resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/1"},
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]}, "effectiveDateTime": "2026-03-03",
        "component": [
            {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
                "valueQuantity": {"value": 120, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}},
            {"code": {"coding": [{"system": "http://loinc.org", "code": "8462-4"}]},
                "valueQuantity": {"value": 80, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}},
        ],
    });
    vec![
        of(
            "https://silta.example/fhir/fi/StructureDefinition/fi-patient",
            &patient,
            vec![
                ("sound", "/identifier/1/value", "y".into(), ""),
                ("slice-without-required", "/identifier/0/value", Value::Null, "Patient.identifier[0]"),
                (
                    "slice-of-another-value",
                    "/identifier/0/system",
                    "urn:oid:1.2.246.22".into(),
                    "Patient.identifier[0].system",
                ),
                (
                    "slice-of-another-pattern",
                    "/identifier/0/type/coding/0/code",
                    "MR".into(),
                    "Patient.identifier[0].type",
                ),
                ("slice-too-often", "/identifier/1/use", "official".into(), "Patient"),
                (
                    "extension-without-required",
                    "/extension/0/valueCoding/code",
                    Value::Null,
                    "Patient.extension[0].value.ofType(Coding)",
                ),
                (
                    "extension-of-another-system",
                    "/extension/0/valueCoding/system",
                    "urn:oid:1.2".into(),
                    "Patient.extension[0].value.ofType(Coding).system",
                ),
                ("constraint-of-a-profile", "/identifier/0/value", "140347-912".into(), "Patient.identifier[0]"),
            ],
        ),
        of(
            "https://silta.example/fhir/fi/StructureDefinition/integrated-care-team",
            &team,
            vec![
                ("sound", "/status", "active".into(), ""),
                ("required-by-profile", "/status", Value::Null, "CareTeam"),
                ("target-of-profile", "/subject/reference", "Group/1".into(), "CareTeam.subject"),
                ("nested-required-by-profile", "/participant/0/member", Value::Null, "CareTeam.participant[0]"),
            ],
        ),
        of(
            "http://hl7.org/fhir/StructureDefinition/bp",
            &bp,
            vec![
                ("sound", "/effectiveDateTime", "2026-03-04".into(), ""),
                ("missing-slice", "/component/1", Value::Null, "Observation"),
                ("slice-by-another-code", "/component/0/code/coding/0/code", "8462-4".into(), "Observation"),
                ("missing-slice-in-value", "/code/coding/0/code", "85355-9".into(), "Observation.code"),
                ("missing-slice-of-base", "/category/0/coding/0/code", "laboratory".into(), "Observation"),
                (
                    "fixed-in-slice",
                    "/component/0/valueQuantity/code",
                    "kPa".into(),
                    "Observation.component[0].value.ofType(Quantity).code",
                ),
                (
                    "required-in-slice",
                    "/component/1/valueQuantity/unit",
                    Value::Null,
                    "Observation.component[1].value.ofType(Quantity)",
                ),
            ],
        ),
    ]
}
