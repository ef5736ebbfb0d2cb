//! The filter as a profile in the shape of the OCI runtime specification, which Docker, containerd and
//! Kubernetes read.

use serde_json::{Value, json};

use crate::calls::{self, Condition};

/// The profile for a container in which only an engine runs: `deploy/seccomp/engine.json`. The engine filters itself in
/// any case; this one holds from its first instruction.
pub fn profile() -> Value {
    let always: Vec<&str> = calls::all()
        .filter(|call| call.condition == Condition::Always)
        .map(calls::Call::name)
        .collect();
    let mut rules = vec![json!({ "names": always, "action": "SCMP_ACT_ALLOW" })];
    for call in calls::all() {
        // Of several conditions on one argument in one rule, runtimes take any: so each has a rule.
        let arguments: Vec<Value> = match call.condition {
            Condition::Always => continue,
            Condition::WithoutBits(index, mask) => vec![
                json!({ "index": index, "value": mask, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }),
            ],
            Condition::OneOf(index, values) => values
                .iter()
                .map(|value| json!({ "index": index, "value": value, "op": "SCMP_CMP_EQ" }))
                .collect(),
            Condition::Not(index, value) => {
                vec![json!({ "index": index, "value": value, "op": "SCMP_CMP_NE" })]
            }
        };
        for argument in arguments {
            rules.push(json!({
                "names": [call.name()], "action": "SCMP_ACT_ALLOW", "args": [argument],
            }));
        }
    }
    // Docker before 23 does not know `defaultErrnoRet` and refuses with EPERM, at which glibc cannot start a program any more.
    rules.push(json!({
        "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": calls::REFUSAL,
    }));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": calls::REFUSAL,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_profile_is_this_one() {
        let shipped = include_str!("../../../deploy/seccomp/engine.json");
        let ours = serde_json::to_string_pretty(&profile()).unwrap();
        assert_eq!(
            shipped.trim_end(),
            ours,
            "`debridfs engine --print-seccomp-profile > deploy/seccomp/engine.json`"
        );
    }
}
