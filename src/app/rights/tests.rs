//! Roles, teams and grants: who may give what to whom, over a real store.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::access::tests::{Gate, PASSWORD};

fn wish(role: &str, to: &str, place: &str) -> GrantWish {
    GrantWish {
        role: role.into(),
        to: to.into(),
        place: place.into(),
    }
}

#[tokio::test]
async fn roles_teams_and_grants() {
    let (gate, owner) = Gate::claimed().await;
    let rights = &gate.rights;
    let (bob, _) = gate.add(&owner, "bob@example.com", Role::Member).await;
    let now = || gate.access.actor_in(&bob, &owner.organization, None).unwrap().unwrap();
    assert!(now().may_somewhere(Action::View).is_err(), "a member sees nothing by itself");
    let made = rights
        .create_role(&owner, "Release captain", "deploys", [Action::Deploy].into())
        .await
        .unwrap();
    assert!(made.role.rights.contains(&Action::View));
    for (name, right) in [("owner", Action::View), ("x", Action::ManageOwners), ("", Action::View)] {
        assert!(rights.create_role(&owner, name, "", [right].into()).await.is_err(), "{name}");
    }
    rights.create_team(&owner, "web", vec!["bob@example.com".into()]).await.unwrap();
    let granted = rights
        .grant(&owner, wish("Release captain", "team:web", "project:default"))
        .await
        .unwrap();
    assert_eq!((granted.to.as_str(), granted.place.1.as_str()), ("team web", "project default"));
    let twice = rights.grant(&owner, wish("Release captain", "team:web", "project:default")).await;
    assert!(matches!(twice, Err(Error::Taken { .. })));
    let project = gate.access.store.projects.list().unwrap().remove(0).value;
    assert!(now().may_in(Action::Deploy, &project.place()).is_ok() && now().may(Action::Deploy).is_err());
    assert!(now().may_in(Action::Terminal, &project.place()).is_err());
    // A change of the role counts at once.
    let terminal = RoleChange {
        rights: Some([Action::Terminal].into()),
        ..RoleChange::default()
    };
    rights.update_role(&owner, "Release captain", terminal).await.unwrap();
    assert!(now().may_in(Action::Terminal, &project.place()).is_ok() && now().may_somewhere(Action::Deploy).is_err());
    assert!(matches!(
        rights.remove_role(&owner, "Release captain").await,
        Err(Error::Busy { .. })
    ));
    rights.remove_team(&owner, "web").await.unwrap();
    assert!(now().may_somewhere(Action::View).is_err() && rights.grants(&owner).unwrap().is_empty());
    rights.remove_role(&owner, "Release captain").await.unwrap();
    for (role, to, place) in [
        ("owner", "user:bob@example.com", "organization"),
        ("nosuch", "user:bob@example.com", "organization"),
        ("viewer", "user:nobody@example.com", "organization"),
        ("viewer", "bob@example.com", "organization"),
        ("viewer", "user:bob@example.com", "project:nosuch"),
        ("viewer", "user:bob@example.com", "galaxy"),
    ] {
        assert!(rights.grant(&owner, wish(role, to, place)).await.is_err(), "{role} {to} {place}");
    }
}

/// Rights are looked up at each request: other organizations' are not looked at, however many there are.
#[tokio::test]
async fn what_others_grant_costs_nobody_a_look() {
    let (gate, owner) = Gate::claimed().await;
    let (bob, _) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let rights = &gate.rights;
    rights.create_team(&owner, "web", vec!["bob@example.com".into()]).await.unwrap();
    rights
        .grant(&owner, wish("developer", "team:web", "project:default"))
        .await
        .unwrap();
    let asked = async || {
        let (held, effort) = store::counted(async { gate.access.held(&bob.id, &owner.organization).unwrap() }).await;
        (held.len(), effort)
    };
    let before = asked().await;
    assert_eq!(before.0, 1);
    let (store, world) = (&gate.access.store, &gate.access.world);
    let elsewhere: types::OrganizationId = world.id();
    for number in 0..20 {
        let team = Team {
            id: world.id(),
            organization: elsewhere.clone(),
            name: format!("team {number}"),
            members: [bob.id.clone()].into(),
            created_at: world.now(),
        };
        let grant = Grant {
            id: world.id(),
            organization: elsewhere.clone(),
            role: GrantedRole::BuiltIn(Role::Admin),
            to: Grantee::Team(team.id.clone()),
            spot: Spot::Organization,
            created_at: world.now(),
        };
        store.teams.insert(team).await.unwrap();
        store.grants.insert(grant).await.unwrap();
    }
    assert_eq!(asked().await, before);
    let (held, _) = store::counted(async { gate.access.held(&bob.id, &elsewhere).unwrap() }).await;
    assert_eq!(held.len(), 20, "there they count");
}

/// Who manages people by a role of their own cannot reach above themselves: not by grants, roles, teams, other people's
/// passwords or new accounts.
#[tokio::test]
async fn nobody_gives_themselves_more() {
    let (gate, owner) = Gate::claimed().await;
    let rights = &gate.rights;
    let (admin, _) = gate.add(&owner, "admin@example.com", Role::Admin).await;
    let (eve, _) = gate.add(&owner, "eve@example.com", Role::Viewer).await;
    let people = [Action::ViewTeam, Action::ManageTeam].into();
    rights.create_role(&owner, "People", "", people).await.unwrap();
    rights
        .grant(&owner, wish("People", "user:eve@example.com", "organization"))
        .await
        .unwrap();
    rights.create_role(&owner, "Shells", "", [Action::Terminal].into()).await.unwrap();
    rights.create_team(&owner, "shells", vec![]).await.unwrap();
    rights.grant(&owner, wish("Shells", "team:shells", "organization")).await.unwrap();
    let eves = gate.access.actor_in(&eve, &owner.organization, None).unwrap().unwrap();
    let refused = |result: Result<()>| assert!(matches!(result, Err(Error::Forbidden { .. })), "{result:?}");
    refused(
        rights
            .grant(&eves, wish("developer", "user:eve@example.com", "organization"))
            .await
            .map(drop),
    );
    refused(
        rights
            .grant(&eves, wish("Shells", "user:eve@example.com", "project:default"))
            .await
            .map(drop),
    );
    refused(rights.create_role(&eves, "Mine", "", [Action::Terminal].into()).await.map(drop));
    let more = RoleChange {
        rights: Some([Action::ManageTeam, Action::Deploy].into()),
        ..RoleChange::default()
    };
    refused(rights.update_role(&eves, "People", more).await.map(drop));
    let join = TeamChange {
        members: Some(vec!["eve@example.com".into()]),
        ..TeamChange::default()
    };
    refused(rights.update_team(&eves, "shells", join).await.map(drop));
    let password = crate::UserChange {
        password: Some(PASSWORD.into()),
        ..crate::UserChange::default()
    };
    refused(gate.users.update(&eves, admin.id.as_str(), password).await.map(drop));
    let promote = crate::UserChange {
        role: Some(Role::Developer),
        ..crate::UserChange::default()
    };
    refused(gate.users.update(&eves, eve.id.as_str(), promote).await.map(drop));
    refused(gate.users.create_service(&eves, "bot", Role::Developer).await.map(drop));
    refused(gate.users.remove(&eves, admin.id.as_str()).await);
    let invite = crate::NewInvitation {
        email: "x@example.com".into(),
        role: Role::Developer,
        days: None,
        mailed: false,
    };
    refused(gate.invitations.create(&eves, invite).await.map(drop));
    // What she has herself, she gives.
    rights
        .grant(&eves, wish("viewer", "user:admin@example.com", "project:default"))
        .await
        .unwrap();
    gate.users.create_service(&eves, "reader", Role::Viewer).await.unwrap();
}
