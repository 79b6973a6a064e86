#!/usr/bin/env python3
"""Writes r5.tsv and stu3.tsv: which elements the types of a FHIR version have. Facts only: names, cardinality, types, the
codes of required bindings.

    npm pack hl7.fhir.r5.core@5.0.0
    mvn dependency:get -Dartifact=ca.uhn.hapi.fhir:hapi-fhir-validation-resources-dstu3:6.10.0 -Dtransitive=false
    python3 extract.py hl7.fhir.r5.core-5.0.0.tgz > r5.tsv
    python3 extract.py hapi-fhir-validation-resources-dstu3-6.10.0.jar > stu3.tsv

A line without an indent is a type: a data type, a resource, or a part of one by its path, and the kind that it is of,
whose elements it has too. Its own elements follow, each with an indent: name, cardinality (`?` 0..1, `1`, `*` 0..*, `+` 1..*; `!` behind it: it modifies), types, codes.
"""
import io
import json
import sys
import tarfile
import xml.etree.ElementTree as ET
import zipfile

NAMESPACE = "{http://hl7.org/fhir}"
# A list longer than this is no table that a map says something of.
LONGEST = 64
# The elements that all of a kind have, which are left out of each.
ELEMENT = ["id", "extension"]
RESOURCE = ["id", "meta", "implicitRules", "language"]
BASES = {"Element": ELEMENT, "BackboneElement": [*ELEMENT, "modifierExtension"], "Resource": RESOURCE,
         "DomainResource": [*RESOURCE, "text", "contained", "extension", "modifierExtension"]}
ABSTRACT = {"Element", "BackboneElement", "BackboneType", "DataType", "Base", "Resource", "DomainResource",
            "CanonicalResource", "MetadataResource"}


def base_of(lines):
    """Which of the kinds of types one with these elements is of."""
    names = [line.split("\t")[0] for line in lines]
    kinds = ("DomainResource", "Resource", "BackboneElement", "Element")
    return next(kind for kind in kinds if all(name in names for name in BASES[kind]))


def from_xml(element):
    """An XML resource as far as this script looks at it: as JSON, each repeated name a list."""
    found = {}
    value = element.get("value")
    for child in element:
        name = child.tag.replace(NAMESPACE, "")
        if name == "extension" or "}" in name:
            continue
        found.setdefault(name, []).append(from_xml(child))
    if value is not None and not found:
        return value
    if element.get("id") and "id" not in found:
        found["id"] = [element.get("id")]
    return found


def one(node, name, default=None):
    value = node.get(name, default)
    if isinstance(value, list):
        return value[0] if value else default
    return value


def many(node, name):
    value = node.get(name) or []
    return value if isinstance(value, list) else [value]


def resources(path):
    """Every StructureDefinition, ValueSet and CodeSystem of a package."""
    if path.endswith(".jar"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                wanted = ("profile/profiles-resources.xml", "profile/profiles-types.xml", "valueset/valuesets.xml",
                          "valueset/v2-tables.xml", "valueset/v3-codesystems.xml")
                if not name.endswith(wanted):
                    continue
                for entry in ET.parse(io.BytesIO(archive.read(name))).getroot().iter(NAMESPACE + "resource"):
                    for resource in entry:
                        kind = resource.tag.replace(NAMESPACE, "")
                        if kind in ("StructureDefinition", "ValueSet", "CodeSystem"):
                            yield kind, from_xml(resource)
        return
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            kind = name.split("-", 1)[0]
            if kind in ("StructureDefinition", "ValueSet", "CodeSystem") and "/other/" not in member.name:
                yield kind, json.load(archive.extractfile(member))


def listed(concepts):
    for concept in concepts:
        yield one(concept, "code")
        yield from listed(many(concept, "concept"))


def codes(url, sets, systems):
    """The codes of a value set that lists whole code systems or single codes; nothing for any other."""
    value_set = sets.get(url.split("|")[0])
    compose = one(value_set, "compose") if value_set else None
    if not compose or many(compose, "exclude"):
        return []
    found = []
    for include in many(compose, "include"):
        if many(include, "filter"):
            return []
        for other in many(include, "valueSet") + many(include, "import"):
            more = codes(other, sets, systems)
            if not more:
                return []
            found += more
        concepts = many(include, "concept")
        system = one(include, "system")
        if concepts:
            found += [one(c, "code") for c in concepts]
        elif system:
            whole = systems.get(system)
            if not whole or not many(whole, "concept"):
                return []
            found += listed(many(whole, "concept"))
    found = list(dict.fromkeys(found))
    return found if len(found) <= LONGEST and not any(" " in c for c in found) else []


def url_of(binding):
    for name in ("valueSet", "valueSetReference", "valueSetUri"):
        value = one(binding, name)
        if isinstance(value, dict):
            value = one(value, "reference")
        if value:
            return value
    return ""


def type_name(code):
    # The types of the values of primitives are told as FHIRPath types.
    name = code.rsplit("/", 1)[-1].rsplit(".", 1)[-1]
    return {"String": "string"}.get(name, name) if "://" in code else code


def main(path):
    sets, systems, structures = {}, {}, {}
    for kind, resource in resources(path):
        url = one(resource, "url")
        if kind == "ValueSet":
            sets[url] = resource
        elif kind == "CodeSystem":
            systems[url] = resource
        elif one(resource, "kind") in ("complex-type", "resource") and one(resource, "derivation") != "constraint":
            structures[one(resource, "type") or one(resource, "name")] = resource
    for name in sorted(set(structures) - ABSTRACT):
        elements = many(one(structures[name], "snapshot"), "element")
        parts = {}
        for element in elements:
            path = one(element, "path")
            holder, _, last = path.rpartition(".")
            if not holder:
                parts.setdefault(path, [])
                continue
            reference = one(element, "contentReference")
            types = list(dict.fromkeys(type_name(one(t, "code") or "") for t in many(element, "type")))
            if reference:
                types = [reference.rsplit("#", 1)[-1]]
            if any(one(e, "path").startswith(path + ".") for e in elements):
                types = [path]
                parts.setdefault(path, [])
            if last == "id":
                types = ["id"] if holder == name and one(structures[name], "kind") == "resource" else ["string"]
            lowest, highest = str(one(element, "min")), one(element, "max")
            card = {("0", "1"): "?", ("1", "1"): "1", ("0", "*"): "*"}.get((lowest, highest))
            card = card or ("+" if highest != "1" else "?")
            if str(one(element, "isModifier")).lower() == "true":
                card += "!"
            line = [last, card, " ".join(types)]
            binding = one(element, "binding")
            if binding and one(binding, "strength") == "required" and types == ["code"]:
                found = codes(url_of(binding), sets, systems)
                if found:
                    line.append(" ".join(found))
            parts.setdefault(holder, []).append("\t".join(line))
        for part, lines in parts.items():
            own = [line for line in lines if line.split("\t")[0] not in BASES[base_of(lines)]]
            print(part + "\t" + base_of(lines))
            for line in own:
                print("\t" + line)


main(sys.argv[1])
