//! The octets of Velocity (`/6/0/4`): horizontal, or horizontal with vertical velocity
//! (3GPP TS 23.032 section 8).

/// The octets of a speed and a climb in m/s, and a bearing in degrees from north,
/// clockwise. What is beyond the range of the coding becomes its end.
pub(super) fn octets(speed: f64, bearing: f64, climb: Option<f64>) -> Vec<u8> {
    // The bearing is cut down to whole degrees, speeds are rounded. The casts saturate.
    let [high, low] = (bearing.rem_euclid(360.0) as u16).to_be_bytes();
    let speed = ((speed * KMH).round() as u16).to_be_bytes();
    let Some(climb) = climb else {
        return vec![HORIZONTAL | high, low, speed[0], speed[1]];
    };
    let direction = if climb < 0.0 { DOWNWARD } else { 0 };
    let vertical = (climb.abs() * KMH).round() as u8;
    vec![WITH_VERTICAL | direction | high, low, speed[0], speed[1], vertical]
}

/// Kilometres per hour in one metre per second.
const KMH: f64 = 3.6;
/// The type in the first four bits; the ninth bit of the bearing is the last.
const HORIZONTAL: u8 = 0;
const WITH_VERTICAL: u8 = 1 << 4;
const DOWNWARD: u8 = 1 << 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn velocities_are_coded_as_ts_23_032_says() {
        let rows: [(f64, f64, Option<f64>, &[u8]); 7] = [
            (0.0, 0.0, None, &[0, 0, 0, 0]),
            // 10 m/s are 36 km/h.
            (10.0, 90.9, None, &[0, 90, 0, 36]),
            (100.0, 359.99, None, &[1, 0x67, 0x01, 0x68]),
            (1.0, 360.0, None, &[0, 0, 0, 4]),
            (10.0, 270.0, Some(2.0), &[0x11, 0x0e, 0, 36, 7]),
            (10.0, 45.0, Some(-2.0), &[0x12, 45, 0, 36, 7]),
            (1e9, 45.0, Some(-1e9), &[0x12, 45, 0xff, 0xff, 0xff]),
        ];
        for (speed, bearing, climb, expected) in rows {
            assert_eq!(octets(speed, bearing, climb), expected, "{speed} {bearing} {climb:?}");
        }
    }
}
