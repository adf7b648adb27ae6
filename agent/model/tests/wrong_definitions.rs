//! Files that are no definition of one object: each gives line, column and reason.

use lwm2m_model::{DefinitionFault, MAX_DEFINITION, ObjectDef};

/// A definition with two resources; the rows below change one place of it.
const GOOD: &str = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<LWM2M>
  <Object ObjectType=\"MODefinition\">
    <Name>Lamp</Name>
    <Description1>The <![CDATA[<b>]]> lamp</Description1>
    <ObjectID>26241</ObjectID>
    <ObjectURN>urn:oma:lwm2m:x:26241:1.1</ObjectURN>
    <ObjectVersion>1.1</ObjectVersion>
    <MultipleInstances>Multiple</MultipleInstances>
    <Mandatory>Optional</Mandatory>
    <Resources>
      <Item ID=\"1\"><Name>On</Name>
        <Operations>RW</Operations>
        <MultipleInstances>Single</MultipleInstances>
        <Mandatory>Mandatory</Mandatory>
        <Type>Boolean</Type>
        <RangeEnumeration/><Units/><Description/>
      </Item>
      <Item ID=\"0\"><Name>Flash</Name>
        <Operations>E</Operations>
        <MultipleInstances>Single</MultipleInstances>
        <Mandatory>Optional</Mandatory>
        <Type></Type>
        <RangeEnumeration/><Units/><Description/>
      </Item>
    </Resources>
    <Description2/>
  </Object>
</LWM2M>
";

#[test]
fn each_wrong_file_gives_line_column_and_reason() {
    ObjectDef::from_xml(GOOD).unwrap();
    for (from, to, message) in [
        // No XML.
        (GOOD, "", "line 1, column 1: malformed XML: the document does not have a root node"),
        (GOOD, "{\"id\": 3}", "line 1, column 1: malformed XML: unknown token"),
        (
            "</Name>\n    <Desc",
            "\n    <Desc",
            "line 28, column 3: malformed XML: expected 'Name' tag, not 'Object'",
        ),
        ("</LWM2M>\n", "", "line 28, column 12: malformed XML: the root node was opened"),
        ("Lamp", "Lamp & Co", "line 4, column 16: malformed XML: malformed entity reference"),
        ("Lamp", "&lamp;", "line 4, column 11: malformed XML: unknown entity reference 'lamp'"),
        ("<LWM2M>", "<!DOCTYPE LWM2M><LWM2M>", "line 2, column 1: a document type declaration"),
        // Another kind of document, or more than one object.
        ("LWM2M>", "html>", "line 2, column 1: expected element LWM2M, got \"html\""),
        (
            "  </Object>\n",
            "  </Object>\n  <Object/>\n",
            "line 29, column 3: a file defines one object, and this is the second",
        ),
        (
            "  </Object>\n",
            "  </Object><Objects/>\n",
            "line 28, column 12: element \"Objects\" has no place in LWM2M",
        ),
        // The object.
        ("<ObjectID>26241</ObjectID>", "", "line 3, column 3: expected element ObjectID in Object"),
        ("26241</ObjectID>", " \n\t70000</ObjectID>", "line 7, column 2: 70000 is no identifier"),
        ("26241</ObjectID>", "65535</ObjectID>", "line 6, column 15: 65535 is reserved"),
        ("26241</ObjectID>", "-1</ObjectID>", "line 6, column 15: \"-1\" is no identifier"),
        ("26241</ObjectID>", "</ObjectID>", "line 6, column 5: \"\" is no identifier"),
        (
            "26241</ObjectID>",
            "<b>1</b></ObjectID>",
            "line 6, column 15: element \"b\" has no place in ObjectID",
        ),
        ("1.1</ObjectV", "1.1.1</ObjectV", "line 8, column 20: expected a version such as 1.2"),
        ("1.1</ObjectV", "new</ObjectV", "line 8, column 20: expected a version such as 1.2"),
        (
            "Multiple</Multiple",
            "Many</Multiple",
            "line 9, column 24: expected Single or Multiple, got \"Many\"",
        ),
        (
            "Optional</Mandatory>\n    <Res",
            "No</Mandatory>\n    <Res",
            "line 10, column 16: expected Mandatory or Optional, got \"No\"",
        ),
        (
            "<ObjectVersion>1.1</ObjectVersion>",
            "<Version>1.1</Version>",
            "line 8, column 5: element \"Version\" has no place in Object",
        ),
        (
            "<Description2/>",
            "<Name>Light</Name>",
            "line 27, column 5: element Name comes twice in Object",
        ),
        // The resources.
        (" ID=\"1\"", "", "line 12, column 7: expected attribute ID"),
        ("ID=\"1\"", "ID=\"one\"", "line 12, column 17: \"one\" is no identifier"),
        ("ID=\"1\"", "ID=\"65535\"", "line 12, column 17: 65535 is reserved"),
        ("ID=\"1\"", "ID=\"0\"", "line 19, column 7: resource 0 is defined twice"),
        (
            "<Operations>RW</Operations>",
            "",
            "line 12, column 7: expected element Operations in Item",
        ),
        (
            "RW</Operations>",
            "RWE</Operations>",
            "line 13, column 21: expected R, W, RW, E or nothing, got \"RWE\"",
        ),
        (
            "Boolean</Type>",
            "bool</Type>",
            "line 16, column 15: expected String, Integer, Unsigned Integer, Float, Boolean, \
             Opaque, Time, Objlnk, Corelnk or nothing, got \"bool\"",
        ),
        ("Boolean</Type>", "</Type>", "line 16, column 9: expected a type"),
        (
            "Single</MultipleInstances>",
            "</MultipleInstances>",
            "line 14, column 9: expected Single or Multiple, got \"\"",
        ),
        ("<Units/>", "<Unit/>", "line 17, column 28: element \"Unit\" has no place in Item"),
        (
            "<Type>Boolean</Type>",
            "<Type>Boolean</Type><Type>Float</Type>",
            "line 16, column 29: element Type comes twice in Item",
        ),
        (
            "<Resources>",
            "<Resources><Resource/>",
            "line 11, column 16: element \"Resource\" has no place in Resources",
        ),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let wrong = GOOD.replace(from, to);
        let error = ObjectDef::from_xml(&wrong).expect_err(message).to_string();
        assert!(error.starts_with(message), "{error}\nis not\n{message}");
    }
}

#[test]
fn an_object_without_resources_is_refused() {
    let (head, rest) = GOOD.split_once("<Resources>").unwrap();
    let (_, tail) = rest.split_once("</Resources>").unwrap();
    for (resources, message) in [
        ("", "line 3, column 3: expected element Resources in Object"),
        ("<Resources/>", "line 11, column 5: expected element Item in Resources"),
    ] {
        let error = ObjectDef::from_xml(&format!("{head}{resources}{tail}")).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

/// What lies in the limits costs memory and time in proportion to its length.
#[test]
fn a_hostile_file_is_refused_before_it_costs_much() {
    let too_long = " ".repeat(MAX_DEFINITION + 1);
    let error = ObjectDef::from_xml(&too_long).unwrap_err();
    assert_eq!(error.reason, DefinitionFault::TooLong(MAX_DEFINITION + 1));

    let half = MAX_DEFINITION / 2;
    let many = format!("<LWM2M>{}</LWM2M>", "<a/>".repeat(half / 4));
    let deep = "<a>".repeat(half / 3);
    for text in [many, deep] {
        let error = ObjectDef::from_xml(&text).unwrap_err();
        assert_eq!(error.reason, DefinitionFault::TooManyNodes);
    }

    let name = "n".repeat(half);
    for text in [
        format!("<{name}/>"),
        format!("<LWM2M><{name}/></LWM2M>"),
        format!("<{name}></a>"),
        GOOD.replace("RW", &name),
        GOOD.replace("26241", &name),
    ] {
        let error = ObjectDef::from_xml(&text).unwrap_err().to_string();
        assert!(error.len() < 256, "{} bytes", error.len());
    }
    let attributes: String = (0..65).map(|n| format!(" a{n}='>'")).collect();
    let namespaces: String = (0..65).map(|n| format!("<a xmlns:a{n}='{n}'>")).collect();
    for (text, column) in [
        (format!("<LWM2M>\n<a{attributes}/></LWM2M>"), 1),
        (format!("<LWM2M>\n  <a{}/></LWM2M>", attributes.replace('\'', "\"")), 3),
        (format!("<LWM2M>\n{namespaces}"), 1 + namespaces.find("xmlns:a64").unwrap()),
    ] {
        let error = ObjectDef::from_xml(&text).unwrap_err();
        assert_eq!(error.reason, DefinitionFault::TooManyAttributes);
        assert_eq!((error.line, error.column), (2, u32::try_from(column).unwrap()));
    }
}
