//! Groups of SCIM: whoever is in one has the role that the provider's rules give it.

use super::{GROUP, Provisioner, ScimQuery, check_count, filter::field, listed, meta, patch, text};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use store::{Batch, Stored};
use types::{Error, Kind, Result, ScimGroup, UserId};

/// Of one provider, and people in one.
const MOST: usize = 2000;
const MEMBERS: usize = 10_000;

/// The groups of everybody, as their resources show them.
pub(super) type Groups = BTreeMap<UserId, Vec<Value>>;

/// What a resource says of a group.
struct Wish {
    name: String,
    external_id: Option<String>,
    members: Vec<UserId>,
}

impl Provisioner {
    pub fn groups(&self, query: &ScimQuery) -> Result<Value> {
        listed(self.described_all()?, query)
    }

    pub(super) fn described_all(&self) -> Result<Vec<Value>> {
        let all = self.access.store.scim_groups.prefix(&format!("{}/", self.provider.id))?;
        Ok(all.iter().map(|one| described(one)).collect())
    }

    pub fn group(&self, id: &str) -> Result<Value> {
        let found = self.found(id)?;
        Ok(described(&found))
    }

    pub async fn add_group(&self, resource: &Value) -> Result<Value> {
        let wish = self.wish(resource)?;
        let _team = self.access.team.lock().await;
        let there = self.access.store.scim_groups.prefix(&format!("{}/", self.provider.id))?.len();
        check_count(there, MOST, "groups")?;
        let now = self.access.world.now();
        let group = ScimGroup {
            id: self.access.world.id(),
            provider: self.provider.id.clone(),
            organization: self.provider.organization.clone(),
            name: wish.name,
            external_id: wish.external_id,
            members: wish.members,
            created_at: now,
            changed_at: now,
        };
        self.commit(Batch::new().insert(group.clone())).await?;
        self.follow_all(group.members.iter().cloned().collect()).await?;
        Ok(described(&group))
    }

    pub async fn replace_group(&self, id: &str, resource: &Value) -> Result<Value> {
        let before = self.found(id)?;
        self.change_group(before, self.wish(resource)?).await
    }

    pub async fn patch_group(&self, id: &str, request: &Value) -> Result<Value> {
        let before = self.found(id)?;
        let mut resource = fields(&before);
        patch::apply(&mut resource, request)?;
        self.change_group(before, self.wish(&resource)?).await
    }

    pub async fn remove_group(&self, id: &str) -> Result<()> {
        let group = self.found(id)?;
        let _team = self.access.team.lock().await;
        self.commit(Batch::new().remove(&group)).await?;
        self.follow_all(group.members.iter().cloned().collect()).await
    }

    async fn change_group(&self, mut group: Stored<ScimGroup>, wish: Wish) -> Result<Value> {
        let _team = self.access.team.lock().await;
        let is_renamed = group.name != wish.name;
        let (before, after): (BTreeSet<_>, BTreeSet<_>) = (group.members.iter().cloned().collect(), wish.members.iter().cloned().collect());
        let concerned = match is_renamed {
            true => before.union(&after).cloned().collect(),
            false => before.symmetric_difference(&after).cloned().collect(),
        };
        group.name = wish.name;
        group.external_id = wish.external_id;
        group.members = wish.members;
        group.changed_at = self.access.world.now();
        let described = described(&group);
        self.commit(Batch::new().save(group)).await?;
        self.follow_all(concerned).await?;
        Ok(described)
    }

    async fn follow_all(&self, people: BTreeSet<UserId>) -> Result<()> {
        for id in people {
            match self.follow(&id).await {
                // Gone meanwhile, or an owner now: a group changes nothing about them.
                Ok(()) | Err(Error::NotFound { .. } | Error::Forbidden { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whoever is in a group, with what their resource says of it.
    pub(super) fn memberships(&self) -> Result<Groups> {
        let mut groups = Groups::new();
        for group in self.access.store.scim_groups.prefix(&format!("{}/", self.provider.id))? {
            let shown = json!({"value": group.id, "display": group.name, "$ref": format!("/scim/v2/Groups/{}", group.id)});
            for member in &group.members {
                groups.entry(member.clone()).or_default().push(shown.clone());
            }
        }
        Ok(groups)
    }

    pub(super) fn groups_of(&self, user: &UserId) -> Result<Vec<Stored<ScimGroup>>> {
        let mut all = self.access.store.scim_groups.prefix(&format!("{}/", self.provider.id))?;
        all.retain(|group| group.members.contains(user));
        Ok(all)
    }

    fn found(&self, id: &str) -> Result<Stored<ScimGroup>> {
        let found = self.access.store.scim_groups.find(&format!("{}/{id}", self.provider.id))?;
        found.ok_or_else(|| Error::not_found(Kind::ScimGroup, id))
    }

    fn wish(&self, resource: &Value) -> Result<Wish> {
        let mut members = Vec::new();
        match field(resource, "members") {
            None | Some(Value::Null) => {}
            Some(Value::Array(all)) if all.len() <= MEMBERS => {
                for one in all {
                    let id = text(one, "value")?.ok_or_else(|| Error::invalid("members", "each has a `value`, which is a person's id"))?;
                    let known = self
                        .known(&id)
                        .map_err(|_| Error::invalid("members", format!("nobody has the id `{id}`")))?;
                    if !members.contains(&known.user) {
                        members.push(known.user.clone());
                    }
                }
            }
            Some(_) => return Err(Error::invalid("members", format!("must be a list of at most {MEMBERS}"))),
        }
        Ok(Wish {
            name: text(resource, "displayName")?.ok_or_else(|| Error::invalid("displayName", "is needed"))?,
            external_id: text(resource, "externalId")?,
            members,
        })
    }
}

fn described(group: &ScimGroup) -> Value {
    let mut resource = fields(group);
    let all = resource.as_object_mut().expect("it is one");
    all.insert("schemas".into(), json!([GROUP]));
    all.insert("id".into(), json!(group.id));
    all.insert("meta".into(), meta("Group", group.id.as_str(), group.created_at, group.changed_at));
    resource
}

fn fields(group: &ScimGroup) -> Value {
    let mut fields = Map::new();
    fields.insert("displayName".into(), json!(group.name));
    if let Some(id) = &group.external_id {
        fields.insert("externalId".into(), json!(id));
    }
    let member = |id: &UserId| json!({"value": id, "type": "User", "$ref": format!("/scim/v2/Users/{id}")});
    fields.insert("members".into(), group.members.iter().map(member).collect());
    Value::Object(fields)
}
