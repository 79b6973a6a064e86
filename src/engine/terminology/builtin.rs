//! Code systems that are grammars or short published lists: they need no package.

/// The predicate that decides the codes of a built-in system.
pub(super) fn predicate(system: &str) -> Option<fn(&str) -> bool> {
    Some(match system.split('|').next().unwrap_or(system) {
        "urn:ietf:bcp:13" | "urn:ietf:rfc:2046" => is_media_type,
        "urn:ietf:bcp:47" => is_language,
        "http://unitsofmeasure.org" => is_ucum,
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

/// Atoms of UCUM that take a metric prefix.
const METRIC: &[&str] = &[
    "m", "s", "g", "rad", "K", "C", "cd", "mol", "sr", "Hz", "N", "Pa", "J", "W", "A", "V", "F", "Ohm", "S", "Wb",
    "Cel", "T", "H", "lm", "lx", "Bq", "Gy", "Sv", "l", "L", "ar", "t", "bar", "u", "eV", "pc", "cal", "cal_IT",
    "cal_m", "cal_th", "G", "Oe", "Gb", "sb", "Lmb", "ph", "Ci", "R", "RAD", "REM", "mho", "dyn", "erg", "P", "Ky",
    "Mx", "Gal", "St", "kat", "U", "[iU]", "[IU]", "eq", "osm", "g%", "tex", "bit", "By", "Bd", "m[H2O]", "m[Hg]",
    "Np", "B", "B[SPL]", "B[V]", "B[mV]", "B[uV]", "B[10.nV]", "B[W]", "B[kW]", "gf", "st", "[e]", "[m_e]", "[m_p]",
    "[G]", "[c]", "[h]", "[k]", "[eps_0]", "[mu_0]", "[ly]", "mol", "kat",
];

/// Atoms of UCUM that stand alone.
const PLAIN: &[&str] = &[
    "10*",
    "10^",
    "%",
    "[pi]",
    "[ppth]",
    "[ppm]",
    "[ppb]",
    "[pptr]",
    "gon",
    "deg",
    "'",
    "''",
    "min",
    "h",
    "d",
    "a",
    "a_t",
    "a_j",
    "a_g",
    "wk",
    "mo",
    "mo_s",
    "mo_j",
    "mo_g",
    "AU",
    "[g]",
    "atm",
    "[lbf_av]",
    "[in_i]",
    "[ft_i]",
    "[yd_i]",
    "[mi_i]",
    "[fth_i]",
    "[nmi_i]",
    "[kn_i]",
    "[sin_i]",
    "[sft_i]",
    "[syd_i]",
    "[cin_i]",
    "[cft_i]",
    "[cyd_i]",
    "[bf_i]",
    "[cr_i]",
    "[mil_i]",
    "[cml_i]",
    "[hd_i]",
    "[ft_us]",
    "[yd_us]",
    "[in_us]",
    "[mi_us]",
    "[acr_us]",
    "[gal_us]",
    "[bbl_us]",
    "[qt_us]",
    "[pt_us]",
    "[gil_us]",
    "[foz_us]",
    "[fdr_us]",
    "[min_us]",
    "[crd_us]",
    "[bu_us]",
    "[pk_us]",
    "[gal_br]",
    "[pt_br]",
    "[foz_br]",
    "[tsp_us]",
    "[tbs_us]",
    "[cup_us]",
    "[tsp_m]",
    "[tbs_m]",
    "[cup_m]",
    "[foz_m]",
    "[gr]",
    "[lb_av]",
    "[oz_av]",
    "[dr_av]",
    "[oz_tr]",
    "[lb_tr]",
    "[oz_ap]",
    "[lb_ap]",
    "[dr_ap]",
    "[sc_ap]",
    "[ston_av]",
    "[lton_av]",
    "[stone_av]",
    "[degF]",
    "[degR]",
    "[degRe]",
    "[Cal]",
    "[Btu]",
    "[Btu_th]",
    "[Btu_IT]",
    "[HP]",
    "[psi]",
    "[in_i'H2O]",
    "[in_i'Hg]",
    "[PRU]",
    "[wood'U]",
    "[diop]",
    "[p'diop]",
    "%[slope]",
    "[mesh_i]",
    "[Ch]",
    "[drp]",
    "[hnsf'U]",
    "[MET]",
    "[pH]",
    "[ccid_50]",
    "[tcid_50]",
    "[eid_50]",
    "[pfu]",
    "[ffu]",
    "[cfu]",
    "[IR]",
    "[BAU]",
    "[AU]",
    "[Amb'a'1'U]",
    "[PNU]",
    "[Lf]",
    "[D'ag'U]",
    "[FEU]",
    "[ELU]",
    "[EU]",
    "[arb'U]",
    "[USP'U]",
    "[GPL'U]",
    "[MPL'U]",
    "[APL'U]",
    "[beth'U]",
    "[anti'Xa'U]",
    "[todd'U]",
    "[dye'U]",
    "[smgy'U]",
    "[bdsk'U]",
    "[ka'U]",
    "[knk'U]",
    "[mclg'U]",
    "[tb'U]",
    "[CCID_50]",
    "[TCID_50]",
    "[EID_50]",
    "[PFU]",
    "[FFU]",
    "[CFU]",
    "[kp_C]",
    "[kp_M]",
    "[kp_Q]",
    "[kp_X]",
    "[hp_X]",
    "[hp_C]",
    "[hp_M]",
    "[hp_Q]",
    "[car_m]",
    "[car_Au]",
    "[smoot]",
    "[m/s2/Hz^0.5]",
    "[NTU]",
    "[FNU]",
    "circ",
    "sph",
    "bit_s",
    "[S]",
    "[lne]",
    "[pnt]",
    "[pca]",
    "[didot]",
    "[cicero]",
    "[degRe]",
    "[Ch]",
    "[rd_us]",
    "[rch_us]",
    "[lk_us]",
    "[fth_us]",
    "[fur_us]",
    "[mil_us]",
    "[sct]",
    "[twp]",
    "[srd_us]",
    "[smi_us]",
    "[rlk_us]",
    "[mi_br]",
    "[nmi_br]",
    "[ft_br]",
    "[in_br]",
    "[yd_br]",
    "[acr_br]",
    "[pwt_tr]",
    "[lcwt_av]",
    "[scwt_av]",
    "[m_ap]",
    "[oz_m]",
    "[bu_br]",
    "[pk_br]",
    "[qt_br]",
    "[gil_br]",
    "[fdr_br]",
    "[min_br]",
    "[wine'U]",
    "[bu_us]",
    "[dqt_us]",
    "[dpt_us]",
    "[gal_wi]",
    "[Aspirin'U]",
    "[mIU]",
];

const PREFIXES: &[&str] = &[
    "Y", "Z", "E", "P", "T", "G", "M", "k", "h", "da", "d", "c", "m", "u", "n", "p", "f", "a", "z", "y", "Ki", "Mi",
    "Gi", "Ti",
];

/// Whether a text is a unit of UCUM: its grammar and its atoms.
#[must_use]
pub fn is_ucum(code: &str) -> bool {
    if code.is_empty() || code.len() > 200 || !code.is_ascii() || code.contains(' ') {
        return false;
    }
    let code = code.strip_prefix('/').unwrap_or(code);
    let mut reader = Ucum { rest: code, depth: 0 };
    reader.term() && reader.rest.is_empty()
}

struct Ucum<'c> {
    rest: &'c str,
    depth: u8,
}

impl Ucum<'_> {
    fn term(&mut self) -> bool {
        loop {
            if !self.component() {
                return false;
            }
            match self.rest.as_bytes().first() {
                Some(b'.' | b'/') => self.rest = self.rest.get(1..).unwrap_or(""),
                _ => return true,
            }
        }
    }

    fn component(&mut self) -> bool {
        if let Some(rest) = self.rest.strip_prefix('(') {
            if self.depth > 8 {
                return false;
            }
            self.rest = rest;
            self.depth += 1;
            let holds = self.term();
            self.depth -= 1;
            let Some(rest) = self.rest.strip_prefix(')') else { return false };
            self.rest = rest;
            return holds && self.annotation().is_some();
        }
        if self.rest.starts_with('{') {
            return self.annotation().is_some();
        }
        let length = self.atom_length();
        let (Some(atom), Some(rest)) = (self.rest.get(..length), self.rest.get(length..)) else { return false };
        if atom.is_empty() || !is_simple_unit(atom) {
            return false;
        }
        self.rest = rest;
        self.annotation().is_some()
    }

    /// Passes over an annotation; nothing when it is not closed.
    fn annotation(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix('{') {
            let end = rest.find('}')?;
            self.rest = rest.get(end + 1..)?;
        }
        Some(())
    }

    fn atom_length(&self) -> usize {
        let mut in_brackets = false;
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                b'[' => in_brackets = true,
                b']' => in_brackets = false,
                b'.' | b'/' | b'(' | b')' | b'{' | b'}' if !in_brackets => return at,
                _ => {}
            }
        }
        self.rest.len()
    }
}

/// A number, or an atom with prefix and exponent.
fn is_simple_unit(text: &str) -> bool {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    if is_atom(text) {
        return true;
    }
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let Some(unit) = text.get(..text.len() - digits) else { return false };
    let unit = if digits > 0 { unit.strip_suffix(['-', '+']).unwrap_or(unit) } else { unit };
    digits > 0 && is_atom(unit)
}

fn is_atom(text: &str) -> bool {
    METRIC.contains(&text)
        || PLAIN.contains(&text)
        || PREFIXES.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|atom| METRIC.contains(&atom)))
}
