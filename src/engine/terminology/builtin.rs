//! Code systems that are grammars or short published lists: they need no package.

/// The predicate that decides the codes of a built-in system.
pub(super) fn predicate(system: &str) -> Option<fn(&str) -> bool> {
    Some(match system.split('|').next().unwrap_or(system) {
        "urn:ietf:bcp:13" | "urn:ietf:rfc:2046" => is_media_type,
        "urn:ietf:bcp:47" => is_language,
        "http://unitsofmeasure.org" => super::ucum::is_ucum,
        "urn:iso:std:iso:4217" => is_currency,
        "urn:iso:std:iso:3166" => is_country,
        "urn:iso:std:iso:3166:-2" => is_subdivision,
        "http://unstats.un.org/unsd/methods/m49/m49.htm" => is_region,
        _ => return None,
    })
}

/// Codes that a published code of a system stands for: `NNxxx` in v2-0203 is NN with a country.
pub(super) fn is_pattern_code(system: &str, code: &str) -> bool {
    system == "http://terminology.hl7.org/CodeSystem/v2-0203"
        && code.len() == 5
        && code.strip_prefix("NN").is_some_and(|country| country.bytes().all(|letter| letter.is_ascii_uppercase()))
}

/// `type/subtype` with parameters (RFC 6838, RFC 2045), or one of the short forms that FHIR allows for its own formats
/// (<http://hl7.org/fhir/R4/http.html#mime-type>).
fn is_media_type(code: &str) -> bool {
    if matches!(code, "xml" | "json" | "ttl") {
        return true;
    }
    let essence = code.split(';').next().unwrap_or(code).trim();
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 127
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&byte))
    };
    essence.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

/// The shape of a language tag (RFC 5646): language, then subtags.
fn is_language(code: &str) -> bool {
    let mut parts = code.split('-');
    let Some(first) = parts.next() else { return false };
    let is_letters = first.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_first = is_letters && ((2..=3).contains(&first.len()) || matches!(first, "x" | "i"));
    is_first && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// A currency of ISO 4217, those that are no longer in use among them: a sum once owed stays in its currency.
fn is_currency(code: &str) -> bool {
    code.len() == 3 && CURRENCIES.split(' ').any(|held| held == code)
}

const CURRENCIES: &str = "\
    ADP AED AFA AFN ALK ALL AMD ANG AOA AOK AON AOR ARA ARP ARS ARY ATS AUD AWG AYM AZM AZN BAD BAM BBD BDT BEC \
    BEF BEL BGJ BGK BGL BGN BHD BIF BMD BND BOB BOP BOV BRB BRC BRE BRL BRN BRR BSD BTN BUK BWP BYB BYN BYR BZD \
    CAD CDF CHC CHE CHF CHW CLF CLP CNX CNY COP COU CRC CSD CSJ CSK CUC CUP CVE CYP CZK DDM DEM DJF DKK DOP DZD \
    ECS ECV EEK EGP ERN ESA ESB ESP ETB EUR FIM FJD FKP FRF GBP GEK GEL GHC GHP GHS GIP GMD GNE GNF GNS GQE GRD \
    GTQ GWE GWP GYD HKD HNL HRD HRK HTG HUF IDR IEP ILP ILR ILS INR IQD IRR ISJ ISK ITL JMD JOD JPY KES KGS KHR \
    KMF KPW KRW KWD KYD KZT LAJ LAK LBP LKR LRD LSL LSM LTL LTT LUC LUF LUL LVL LVR LYD MAD MDL MGA MGF MKD MLF \
    MMK MNT MOP MRO MRU MTL MTP MUR MVQ MVR MWK MXN MXP MXV MYR MZE MZM MZN NAD NGN NIC NIO NLG NOK NPR NZD OMR \
    PAB PEH PEI PEN PES PGK PHP PKR PLN PLZ PTE PYG QAR RHD ROK ROL RON RSD RUB RUR RWF SAR SBD SCR SDD SDG SDP \
    SEK SGD SHP SIT SKK SLE SLL SOS SRD SRG SSP STD STN SUR SVC SYP SZL THB TJR TJS TMM TMT TND TOP TPE TRL TRY \
    TTD TWD TZS UAH UAK UGS UGW UGX USD USN USS UYI UYN UYP UYU UYW UZS VEB VED VEF VES VNC VND VUV WST XAF XAG \
    XAU XBA XBB XBC XBD XCD XCG XDR XEU XFO XFU XOF XPD XPF XPT XRE XSU XTS XUA XXX YDD YER YUD YUM YUN ZAL ZAR \
    ZMK ZMW ZRN ZRZ ZWC ZWD ZWG ZWL ZWN ZWR";

/// Two or three capital letters, three digits, or a subdivision of a country.
fn is_country(code: &str) -> bool {
    let (country, rest) = code.split_once('-').map_or((code, None), |(country, rest)| (country, Some(rest)));
    let letters = (2..=3).contains(&country.len()) && country.bytes().all(|byte| byte.is_ascii_uppercase());
    let digits = country.len() == 3 && country.bytes().all(|byte| byte.is_ascii_digit());
    let subdivision = rest.is_none_or(|rest| {
        (1..=3).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    });
    (letters || digits) && subdivision
}

/// Two capital letters and a subdivision of that country.
fn is_subdivision(code: &str) -> bool {
    code.as_bytes().get(2) == Some(&b'-') && is_country(code)
}

/// Three digits.
fn is_region(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit())
}
