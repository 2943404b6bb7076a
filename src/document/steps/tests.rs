use super::{StepLimits, StepsError, check, elements, only_remove};

const LIMITS: StepLimits = StepLimits { steps: 3, bytes: 200 };

#[test]
fn steps_are_counted_whatever_their_type_says() {
    for (steps, count) in [
        (
            r#"[{"stepType":"replace","from":1,"to":2,"slice":{"content":[{"type":"text","text":"a,]b"}]}}]"#,
            1,
        ),
        (" [\n{ \"from\" : 1e999 , \"stepType\" : \"\" } ,\t{\"stepType\":\"app's own\"}]\r\n", 2),
        (
            r#"[{"step\u0054ype":"replace"},{"stepType":1,"stepType":"the last counts"},{"stepType":"\ud800"}]"#,
            3,
        ),
    ] {
        assert_eq!(check(steps, LIMITS), Ok(count), "{steps}");
    }
}

#[test]
fn what_is_no_array_of_steps_has_a_bad_shape() {
    for steps in [
        "",
        "[]",
        "[ ]",
        "null",
        "{}",
        r#"{"stepType":"replace"}"#,
        r#""[]""#,
        "[1]",
        "[null]",
        "[{}]",
        r#"["stepType"]"#,
        r#"[["stepType","replace"]]"#,
        r#"[{"stepType":null}]"#,
        r#"[{"stepType":["replace"]}]"#,
        r#"[{"stepType":"replace","stepType":1}]"#,
        r#"[{"steptype":"replace"}]"#,
        r#"[{"attrs":{"stepType":"replace"}}]"#,
        r#"[{"stepType":"replace"},]"#,
        r#"[{"stepType":"replace"}"#,
        r#"[{"stepType":"replace"}] []"#,
        r#"[{"stepType":"replace",}]"#,
    ] {
        assert_eq!(check(steps, LIMITS), Err(StepsError::BadShape), "{steps}");
    }
}

#[test]
fn a_batch_over_a_limit_says_over_which() {
    let step = r#"{"stepType":"replace"}"#;
    let of = |count| format!("[{}]", vec![step; count].join(","));
    assert_eq!(check(&of(3), LIMITS), Ok(3));
    assert_eq!(check(&of(4), LIMITS), Err(StepsError::TooManySteps { count: 4 }));
    assert_eq!(check(&of(20), LIMITS), Err(StepsError::TooLarge { bytes: 461 }));
    let codes =
        [StepsError::BadShape, StepsError::TooManySteps { count: 4 }, StepsError::TooLarge { bytes: 1 }]
            .map(StepsError::code);
    assert_eq!(codes, ["BAD_SHAPE", "TOO_MANY_STEPS", "BATCH_TOO_LARGE"]);
}

#[test]
fn nesting_of_any_depth_costs_no_stack() {
    let deep =
        format!(r#"[{{"stepType":"replace","slice":{}{}}}]"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(check(&deep, StepLimits { steps: 1, bytes: usize::MAX }), Ok(1));
    assert_eq!(elements(&deep, 1), "");
}

#[test]
fn the_elements_behind_the_first_ones_are_the_text_that_they_were() {
    let steps = r#" [ {"stepType":"a","s":"}],["} ,{"stepType":"b"} , {"stepType":"c"} ] "#;
    assert_eq!(elements(steps, 0), r#"{"stepType":"a","s":"}],["} ,{"stepType":"b"} , {"stepType":"c"}"#);
    assert_eq!(elements(steps, 1), r#"{"stepType":"b"} , {"stepType":"c"}"#);
    assert_eq!(elements(steps, 2), r#"{"stepType":"c"}"#);
    assert_eq!(elements(steps, 3), "");
    assert_eq!(elements(steps, 4), "");
    assert_eq!(elements("no array", 0), "");
}

#[test]
fn only_what_is_known_to_insert_nothing_is_said_to_remove() {
    for steps in [
        r#"[{"stepType":"replace","from":1,"to":3}]"#,
        r#"[{"stepType":"replace","from":1,"to":3,"slice":null},{"stepType":"removeMark","mark":{"type":"em"},"from":1,"to":3}]"#,
        r#"[{"from":0,"stepType":"removeNodeMark"}]"#,
    ] {
        assert!(only_remove(steps), "{steps}");
    }
    for steps in [
        r#"[{"stepType":"replace","from":1,"to":1,"slice":{"content":[]}}]"#,
        r#"[{"stepType":"replace","from":1,"to":3},{"stepType":"replace","slice":{},"from":1,"to":1}]"#,
        r#"[{"stepType":"\u0072eplace","slice":{},"from":1,"to":1}]"#,
        r#"[{"stepType":"replaceAround","from":1,"to":3}]"#,
        r#"[{"stepType":"addMark","from":1,"to":3}]"#,
        r#"[{"stepType":"word","text":"x"}]"#,
    ] {
        assert!(!only_remove(steps), "{steps}");
    }
}
