use super::Modes;
use crate::call::{Class, Facts, Mode, Operation, OperationId, Operations, Recognition, ServiceName};

fn at(service: &str) -> Operation {
    Operation {
        id: OperationId::unknown(Class::Act),
        service: ServiceName(service.into()),
        class: Class::Act,
        resource: None,
        how: Recognition::Inferred,
        facts: Facts::default(),
        because: "a test".into(),
        ai: None,
    }
}

fn modes(node: Mode, service: &str, mode: Mode) -> Modes {
    Modes { node, services: [(ServiceName(service.into()), mode)].into() }
}

#[test]
fn a_service_may_have_a_mode_of_its_own() {
    let modes = modes(Mode::Enforce, "github", Mode::Observe);
    assert_eq!(modes.of(&Operations::one(at("github"))), Mode::Observe);
    assert_eq!(modes.of(&Operations::one(at("slack"))), Mode::Enforce);
    assert!(modes.observes() && !Modes::default().observes());
}

#[test]
fn what_is_enforced_at_one_of_its_services_is_enforced() {
    let both = Operations::batch(at("github"), vec![at("stripe")]);
    assert_eq!(modes(Mode::Enforce, "github", Mode::Observe).of(&both), Mode::Enforce);
    assert_eq!(modes(Mode::Observe, "stripe", Mode::Enforce).of(&both), Mode::Enforce);
    assert_eq!(modes(Mode::Observe, "slack", Mode::Enforce).of(&both), Mode::Observe);
}
