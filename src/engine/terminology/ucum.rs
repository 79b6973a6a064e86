//! Units of UCUM: the grammar of its case-sensitive codes and its published atoms (<https://ucum.org/ucum>).

/// Atoms that take a metric prefix, in their order.
#[rustfmt::skip]
const METRIC: [&str; 96] = [
    "A", "B", "B[10.nV]", "B[SPL]", "B[V]", "B[W]", "B[kW]", "B[mV]", "B[uV]", "Bd", "Bi", "Bq", "By", "C", "Cel",
    "Ci", "F", "G", "Gal", "Gb", "Gy", "H", "Hz", "J", "K", "Ky", "L", "Lmb", "Mx", "N", "Np", "Oe", "Ohm", "P", "Pa",
    "R", "RAD", "REM", "S", "St", "Sv", "T", "U", "V", "W", "Wb", "[G]", "[IU]", "[c]", "[e]", "[eps_0]", "[g]",
    "[h]", "[iU]", "[k]", "[ly]", "[m_e]", "[m_p]", "[mu_0]", "ar", "bar", "bit", "cal", "cal_IT", "cal_[15]",
    "cal_[20]", "cal_m", "cal_th", "cd", "dyn", "eV", "eq", "erg", "g", "g%", "gf", "kat", "l", "lm", "lx", "m",
    "m[H2O]", "m[Hg]", "mho", "mol", "osm", "pc", "ph", "rad", "s", "sb", "sr", "st", "t", "tex", "u",
];

/// Atoms that stand alone, in their order.
#[rustfmt::skip]
const PLAIN: [&str; 217] = [
    "%", "%[slope]", "'", "''", "10*", "10^", "AU", "Ao", "Torr", "[APL'U]", "[AU]", "[Amb'a'1'U]", "[BAU]", "[Btu]",
    "[Btu_39]", "[Btu_59]", "[Btu_60]", "[Btu_IT]", "[Btu_m]", "[Btu_th]", "[CCID_50]", "[CFU]", "[Cal]", "[Ch]",
    "[D'ag'U]", "[EID_50]", "[ELU]", "[EU]", "[FEU]", "[FFU]", "[FNU]", "[GPL'U]", "[HPF]", "[HP]", "[LPF]", "[Lf]",
    "[MET]", "[MPL'U]", "[NTU]", "[PFU]", "[PNU]", "[PRU]", "[S]", "[TCID_50]", "[USP'U]", "[acr_br]", "[acr_us]",
    "[anti'Xa'U]", "[arb'U]", "[bbl_us]", "[bdsk'U]", "[beth'U]", "[bf_i]", "[bu_br]", "[bu_us]", "[car_Au]",
    "[car_m]", "[cft_i]", "[ch_br]", "[ch_us]", "[cicero]", "[cin_i]", "[cml_i]", "[cr_i]", "[crd_us]", "[cup_m]",
    "[cup_us]", "[cyd_i]", "[degF]", "[degR]", "[degRe]", "[den]", "[didot]", "[diop]", "[dpt_us]", "[dqt_us]",
    "[dr_ap]", "[dr_av]", "[drp]", "[dye'U]", "[fdr_br]", "[fdr_us]", "[foz_br]", "[foz_m]", "[foz_us]", "[ft_br]",
    "[ft_i]", "[ft_us]", "[fth_br]", "[fth_i]", "[fth_us]", "[fur_us]", "[gal_br]", "[gal_us]", "[gal_wi]",
    "[gil_br]", "[gil_us]", "[gr]", "[hd_i]", "[hnsf'U]", "[hp'_C]", "[hp'_M]", "[hp'_Q]", "[hp'_X]", "[hp_C]",
    "[hp_M]", "[hp_Q]", "[hp_X]", "[in_br]", "[in_i'H2O]", "[in_i'Hg]", "[in_i]", "[in_us]", "[ka'U]", "[kn_br]",
    "[kn_i]", "[knk'U]", "[kp_C]", "[kp_M]", "[kp_Q]", "[kp_X]", "[lb_ap]", "[lb_av]", "[lb_tr]", "[lbf_av]",
    "[lcwt_av]", "[ligne]", "[lk_br]", "[lk_us]", "[lne]", "[lton_av]", "[m/s2/Hz^(1/2)]", "[m/s2/Hz^0.5]",
    "[mclg'U]", "[mesh_i]", "[mi_br]", "[mi_i]", "[mi_us]", "[mil_i]", "[mil_us]", "[min_br]", "[min_us]", "[nmi_br]",
    "[nmi_i]", "[oz_ap]", "[oz_av]", "[oz_m]", "[oz_tr]", "[p'diop]", "[pH]", "[pc_br]", "[pca]", "[pca_pr]", "[pi]",
    "[pied]", "[pk_br]", "[pk_us]", "[pnt]", "[pnt_pr]", "[pouce]", "[ppb]", "[ppm]", "[ppth]", "[pptr]", "[psi]",
    "[pt_br]", "[pt_us]", "[pwt_tr]", "[qt_br]", "[qt_us]", "[rch_us]", "[rd_br]", "[rd_us]", "[rlk_us]", "[sc_ap]",
    "[sct]", "[scwt_av]", "[sft_i]", "[sin_i]", "[smgy'U]", "[smi_us]", "[smoot]", "[srd_us]", "[ston_av]",
    "[stone_av]", "[syd_i]", "[tb'U]", "[tbs_m]", "[tbs_us]", "[todd'U]", "[tsp_m]", "[tsp_us]", "[twp]", "[wood'U]",
    "[yd_br]", "[yd_i]", "[yd_us]", "a", "a_g", "a_j", "a_t", "atm", "att", "b", "bit_s", "circ", "d", "deg", "gon",
    "h", "min", "mo", "mo_g", "mo_j", "mo_s", "sph", "wk",
];

/// Metric and binary prefixes.
const PREFIXES: [&str; 28] = [
    "Q", "R", "Y", "Z", "E", "P", "T", "G", "M", "k", "h", "da", "d", "c", "m", "u", "n", "p", "f", "a", "z", "y", "r",
    "q", "Ki", "Mi", "Gi", "Ti",
];

/// Whether a text is a unit of UCUM: its grammar and its atoms.
#[must_use]
pub fn is_ucum(code: &str) -> bool {
    if code.is_empty() || code.len() > 200 || !code.bytes().all(|byte| byte.is_ascii_graphic()) {
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
            let (text, after) = rest.split_once('}')?;
            if text.contains('{') {
                return None;
            }
            self.rest = after;
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
    let is_in = |atoms: &[&str], text: &str| atoms.binary_search(&text).is_ok();
    is_in(&METRIC, text)
        || is_in(&PLAIN, text)
        || [1, 2].into_iter().any(|length| {
            let split = text.split_at_checked(length);
            split.is_some_and(|(prefix, atom)| PREFIXES.contains(&prefix) && is_in(&METRIC, atom))
        })
}
