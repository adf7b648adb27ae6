//! An identifier of the machine for one application, derived from
//! `/etc/machine-id`, which itself is confidential (machine-id(5)).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Roots;
use crate::sources::text;

/// A UUID (version 4 by its bits) that is the same on each start and tells
/// nothing about the machine-id: HMAC-SHA256 keyed with the machine-id over
/// `app`, as `sd_id128_get_machine_app_specific(3)` derives it.
///
/// `None` without a valid machine-id, as before the first boot is complete.
pub fn app_specific(roots: &Roots, app: [u8; 16]) -> Option<[u8; 16]> {
    let machine = parse(&text::line(&roots.etc.join("machine-id"))?)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&machine).ok()?;
    mac.update(&app);
    let digest = mac.finalize().into_bytes();
    let mut id = [0; 16];
    for (place, (byte, derived)) in id.iter_mut().zip(digest).enumerate() {
        *byte = match place {
            6 => (derived & 0x0f) | 0x40,
            8 => (derived & 0x3f) | 0x80,
            _ => derived,
        };
    }
    Some(id)
}

/// 32 hexadecimal digits, not all zero.
fn parse(text: &str) -> Option<[u8; 16]> {
    let well_formed = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = well_formed.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    (number != 0).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the words that `systemd-id128 machine-id --app-specific=` prints.
    #[test]
    fn identifiers_are_those_of_systemd() {
        let roots =
            Roots::below(&std::env::temp_dir().join(format!("lwm2m-id-{}", std::process::id())));
        std::fs::create_dir_all(&roots.etc).unwrap();
        let path = roots.etc.join("machine-id");
        assert_eq!(app_specific(&roots, [0; 16]), None);
        std::fs::write(&path, "b08dfa6083e7567a1921a715000001fb\n").unwrap();
        let cases = [
            (0x0011_2233_4455_6677_8899_aabb_ccdd_eeff, 0x8ce3_ee97_200f_4eac_84ae_a407_2bc0_6cc0),
            (0x6c77_326d_6400_4f1e_9d2a_0000_0000_0001, 0x6e64_55cd_ea66_4100_974e_f72b_f18a_eb68),
        ];
        for (app, id) in cases {
            let derived = app_specific(&roots, u128::to_be_bytes(app));
            assert_eq!(derived.map(u128::from_be_bytes), Some(id));
        }
        for wrong in [
            "uninitialized\n",
            "",
            "b08dfa",
            &"0".repeat(32),
            &"g".repeat(32),
            "+8dfa6083e7567a1921a715000001fb0",
        ] {
            std::fs::write(&path, wrong).unwrap();
            assert_eq!(app_specific(&roots, [7; 16]), None, "{wrong}");
        }
        std::fs::remove_dir_all(roots.etc.parent().unwrap()).unwrap();
    }
}
