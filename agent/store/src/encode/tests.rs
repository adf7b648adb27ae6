//! Every record comes back as it was; what is no record is told apart.

use std::time::Duration;

use lwm2m_model::Path;
use proptest::prelude::*;

use super::*;

fn every_kind() -> Vec<Record> {
    let attributes = Attributes {
        pmin: Some(1),
        pmax: Some(u32::MAX),
        gt: Some(-1.5),
        lt: Some(f64::MAX),
        st: Some(0.1),
        edge: Some(true),
        con: Some(false),
        ..Attributes::default()
    };
    let values = [
        (0, Value::String("µ".into())),
        (1, Value::Integer(-1)),
        (2, Value::Unsigned(u64::MAX)),
        (3, Value::Float(0.1)),
        (4, Value::Boolean(true)),
        (5, Value::Opaque(vec![0, 255])),
        (6, Value::Time(i64::MIN)),
        (7, Value::Objlnk(ObjectLink::new(3, 65535))),
        (8, Value::Corelnk("</3>".into())),
    ];
    let observation = Observation {
        server: 101,
        token: vec![1, 2],
        path: "/d01/3/0/7".parse().unwrap(),
        format: ContentFormat::SENML_CBOR,
        own: Some(attributes),
        block_szx: Some(6),
        unused_sequence: 0xff_ffff,
    };
    vec![
        Record::Account(Account {
            server: 101,
            configured: Fingerprint(u64::MAX),
            values: values.into(),
        }),
        Record::Attached(Attached { server: 101, path: Path::object(3), attributes }),
        Record::Observation(observation.clone()),
        Record::Observation(Observation {
            token: Vec::new(),
            path: Path::root(),
            own: None,
            block_szx: None,
            ..observation
        }),
        Record::Registration(Registration {
            server: 65534,
            location: vec!["rd".into(), String::new()],
            version: Version::V1_2,
            endpoint: "urn:dev:1".into(),
            account: Fingerprint(1),
            lifetime: 86_400,
            binding: "UT".into(),
            objects: Fingerprint(2),
            answered: Moment {
                boot: BootId([7; 16]),
                at: Instant::from_boot(Duration::from_nanos(u64::MAX)),
            },
        }),
        Record::Session(Session { server: 101, secret: vec![9; 3] }),
        Record::Disabled(Disabled {
            server: 101,
            account: Fingerprint(1),
            until: Moment {
                boot: BootId([7; 16]),
                at: Instant::from_boot(Duration::from_nanos(500)),
            },
        }),
    ]
}

fn rows() -> Vec<Row> {
    every_kind().iter().map(|record| encode(record).unwrap()).collect()
}

#[test]
fn every_kind_comes_back_and_has_the_key_that_names_it() {
    for record in every_kind() {
        let row = encode(&record).unwrap();
        assert_eq!(decode(&row).as_ref(), Ok(&record));
        assert_eq!((row.kind, row.key), encode_key(&record.key()));
    }
}

/// Formats are for ever: an agent reads what an older one wrote.
#[test]
fn the_bytes_on_disk_stay_as_they_are() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let written: Vec<_> =
        rows().iter().map(|row| (row.kind, hex(&row.key), hex(&row.value))).collect();
    let expected = [
        (
            1,
            "811865",
            "83011bffffffffffffffffa900820062c2b5018201200282021bffffffffffffffff038203fb3fb999999999999a048204f50582054200ff0682063b7fffffffffffffff0782071a0003ffff088208643c2f333e",
        ),
        (
            2,
            "821865622f33",
            "82018a011afffffffffbbff8000000000000fb7feffffffffffffffb3fb999999999999af6f6f5f4f6",
        ),
        (
            3,
            "821865420102",
            "86016a2f6430312f332f302f3718708a011afffffffffbbff8000000000000fb7feffffffffffffffb3fb999999999999af6f6f5f4f6061a00ffffff",
        ),
        (3, "82186540", "8601612f1870f6f61a00ffffff"),
        (
            4,
            "8119fffe",
            "8b01826272646001026975726e3a6465763a31011a000151806255540250070707070707070707070707070707071bffffffffffffffff",
        ),
        (5, "811865", "820143090909"),
        (6, "811865", "84010150070707070707070707070707070707071901f4"),
    ];
    assert_eq!(written.len(), expected.len());
    for ((kind, key, value), expected) in written.iter().zip(expected) {
        assert_eq!((*kind, key.as_str(), value.as_str()), expected);
    }
}

#[test]
fn a_flipped_bit_anywhere_shows() {
    for row in rows() {
        for bit in 0..row.key.len() * 8 {
            let mut wrong = row.clone();
            wrong.key[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&wrong), Err(RowFault::Damaged));
        }
        for bit in 0..row.value.len() * 8 {
            let mut wrong = row.clone();
            wrong.value[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&wrong), Err(RowFault::Damaged));
        }
        let other_kind = Row { kind: row.kind ^ 1, ..row };
        assert_eq!(decode(&other_kind), Err(RowFault::Damaged));
    }
}

#[test]
fn unknown_kinds_and_later_versions_are_new_and_not_wrong() {
    let row = |kind, value: Vec<u8>| {
        let key = cbor((101_u16,));
        Row { kind, checksum: checksum(kind, &key, &value), key, value }
    };
    let session = Record::Session(Session { server: 101, secret: vec![5] });
    let value = cbor((1_u8, <&ByteSlice>::from(&[5][..])));
    assert_eq!(decode(&row(5, value.clone())), Ok(session));
    assert_eq!(decode(&row(5, cbor((2_u8, "five")))), Err(RowFault::Newer));
    for unknown in [0, 7, 8] {
        assert_eq!(decode(&row(unknown, value.clone())), Err(RowFault::Newer));
    }
    for wrong in [vec![], vec![0x80], cbor((1_u8,)), cbor((1_u8, 5_u8)), cbor(5_u8)] {
        assert_eq!(decode(&row(5, wrong)), Err(RowFault::Damaged));
    }
    let trailing = [value, vec![0]].concat();
    assert_eq!(decode(&row(5, trailing)), Err(RowFault::Damaged));
}

#[test]
fn a_record_has_a_largest_size() {
    let session = |len| Record::Session(Session { server: 101, secret: vec![0; len] });
    let most = MAX_RECORD - 8;
    let row = encode(&session(most)).unwrap();
    assert_eq!(row.key.len() + row.value.len(), MAX_RECORD);
    let error = encode(&session(most + 1)).unwrap_err().to_string();
    assert_eq!(error, "session of server 101 takes 16385 bytes, above 16384");
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_not(
        kind in 0_i64..9,
        key in prop::collection::vec(any::<u8>(), 0..16),
        value in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let checksum = checksum(kind, &key, &value);
        let _ = decode(&Row { kind, key, value, checksum });
    }

    /// Near misses get further into the decoder than random bytes.
    #[test]
    fn any_change_of_a_value_is_a_record_or_not(
        which in 0_usize..6,
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut row = rows().swap_remove(which);
        let place = place.index(row.value.len());
        row.value[place] = byte;
        row.checksum = checksum(row.kind, &row.key, &row.value);
        let _ = decode(&row);
    }
}
