//! The filter as BPF.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use crate::calls::{self, Condition};

/// Puts the filter on the calling thread. The reason when it can't be.
pub(crate) fn install() -> Result<(), String> {
    let machine = std::env::consts::ARCH;
    let arch: TargetArch = machine
        .try_into()
        .map_err(|_| format!("no filter was made for {machine} processors"))?;
    let program = compile(arch).map_err(|error| error.to_string())?;
    apply_filter(&program).map_err(|error| format!("this kernel refuses it: {error}"))
}

fn compile(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let mut rules = BTreeMap::new();
    for call in calls::all() {
        if let Some(number) = call.number {
            rules.insert(number, rules_of(call.condition)?);
        }
    }
    let other = SeccompAction::Errno(calls::REFUSAL);
    SeccompFilter::new(rules, other, SeccompAction::Allow, arch)?.try_into()
}

/// No rule at all means always; one that holds is enough.
fn rules_of(condition: Condition) -> Result<Vec<SeccompRule>, BackendError> {
    let (argument, all) = match condition {
        Condition::Always => return Ok(Vec::new()),
        Condition::WithoutBits(argument, mask) => {
            (argument, vec![(SeccompCmpOp::MaskedEq(mask), 0)])
        }
        Condition::OneOf(argument, values) => {
            let each = values.iter().map(|value| (SeccompCmpOp::Eq, *value));
            (argument, each.collect())
        }
        Condition::Not(argument, value) => (argument, vec![(SeccompCmpOp::Ne, value)]),
    };
    all.into_iter()
        .map(|(operator, value)| {
            // The kernel takes these arguments as 32 bits, so what stands above them says nothing.
            let condition =
                SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
            SeccompRule::new(vec![condition])
        })
        .collect()
}
