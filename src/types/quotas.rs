//! Quotas: what an organization or a project may take of the machine, and what is metered of it.

use crate::{Error, Limits, OrganizationId, ProjectId, Result, Stack, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What there may be at most; `None`: as much as there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaLimits {
    /// Those in the trash do not count.
    pub apps: Option<u64>,
    /// Of all apps together, by their limits.
    pub memory_bytes: Option<u64>,
    pub cpu_millis: Option<u64>,
    /// Of volumes, images and uploads, as measured.
    pub disk_bytes: Option<u64>,
    /// What the edge passes on in both directions, in a calendar month (UTC).
    pub traffic_bytes: Option<u64>,
    /// Bytes a second that each domain gets once the month's traffic is used up; `None`: people are told, and no more.
    pub traffic_cap: Option<u64>,
    /// Begun in a calendar month (UTC).
    pub builds_per_month: Option<u64>,
    /// Deployments that build at the same time; more wait.
    pub builds_at_once: Option<u64>,
}

/// The quota of an organization, or of one of its projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    pub organization: OrganizationId,
    /// `None`: the organization as a whole.
    pub project: Option<ProjectId>,
    pub limits: QuotaLimits,
    /// Who set it, in words.
    pub by: String,
    pub changed_at: Time,
}

/// What was counted for an organization that has quotas. One record, so that whole and parts are always of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    pub organization: OrganizationId,
    /// Of traffic and builds: `2026-11`.
    pub month: String,
    /// Projects that are gone stay until the month is over.
    pub projects: BTreeMap<ProjectId, Metered>,
    /// What was told already: 80 or 100, by the key of the quota and what it is of, `prj_…/disk`.
    pub told: BTreeMap<String, u8>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metered {
    /// When it was measured last; `None`: never.
    pub disk_bytes: Option<u64>,
    pub traffic_bytes: u64,
    pub builds: u64,
}

/// What the containers of an app may use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    pub memory_bytes: u64,
    pub cpu_millis: u64,
}

impl QuotaLimits {
    pub fn is_empty(&self) -> bool {
        *self == QuotaLimits::default()
    }

    /// Fails with `Invalid` for what says nothing.
    pub fn checked(self) -> Result<QuotaLimits> {
        match (self.traffic_cap, self.traffic_bytes) {
            (Some(0), _) => Err(Error::invalid("traffic_cap", "must be at least 1 byte a second")),
            (Some(_), None) => Err(Error::invalid(
                "traffic_cap",
                "needs `traffic_bytes`: it begins when those are used up",
            )),
            _ if self.builds_at_once == Some(0) => Err(Error::invalid(
                "builds_at_once",
                "must be at least 1; use `builds_per_month` for none",
            )),
            _ => Ok(self),
        }
    }

    /// Fails with `Invalid` where a part would have more than the whole may.
    pub fn within(&self, whole: &QuotaLimits) -> Result<()> {
        let fields = [
            ("apps", self.apps, whole.apps),
            ("memory_bytes", self.memory_bytes, whole.memory_bytes),
            ("cpu_millis", self.cpu_millis, whole.cpu_millis),
            ("disk_bytes", self.disk_bytes, whole.disk_bytes),
            ("traffic_bytes", self.traffic_bytes, whole.traffic_bytes),
            ("builds_per_month", self.builds_per_month, whole.builds_per_month),
            ("builds_at_once", self.builds_at_once, whole.builds_at_once),
        ];
        for (field, part, whole) in fields {
            if let (Some(part), Some(whole)) = (part, whole)
                && part > whole
            {
                return Err(Error::invalid(
                    field,
                    format!("must be at most {whole}, which the whole organization may have"),
                ));
            }
        }
        Ok(())
    }
}

impl Quota {
    /// Of the project, else of the organization.
    pub fn key(&self) -> String {
        self.project
            .as_ref()
            .map_or_else(|| self.organization.to_string(), ToString::to_string)
    }
    /// Whether what lies in the project counts.
    pub fn covers(&self, organization: &OrganizationId, project: &ProjectId) -> bool {
        self.organization == *organization && self.project.as_ref().is_none_or(|own| own == project)
    }
}

impl Meter {
    pub fn new(organization: OrganizationId, month: String) -> Meter {
        Meter {
            organization,
            month,
            projects: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// As it stands in `month`: traffic and builds of another one are over.
    pub fn in_month(mut self, month: &str) -> Meter {
        if self.month != month {
            month.clone_into(&mut self.month);
            self.told.retain(|key, _| key.ends_with("/disk"));
            for metered in self.projects.values_mut() {
                (metered.traffic_bytes, metered.builds) = (0, 0);
            }
        }
        self
    }

    /// Of one project, or of all of them.
    pub fn of(&self, project: Option<&ProjectId>) -> Metered {
        let mut sum = Metered::default();
        for (id, metered) in &self.projects {
            if project.is_none_or(|wanted| wanted == id) {
                sum.traffic_bytes = sum.traffic_bytes.saturating_add(metered.traffic_bytes);
                sum.builds += metered.builds;
                if let Some(bytes) = metered.disk_bytes {
                    sum.disk_bytes = Some(sum.disk_bytes.unwrap_or_default().saturating_add(bytes));
                }
            }
        }
        sum
    }
}

impl Demand {
    pub fn of(limits: &Limits, containers: u32) -> Demand {
        Demand {
            memory_bytes: limits.memory_bytes.saturating_mul(containers.into()),
            cpu_millis: u64::from(limits.cpu_millis) * u64::from(containers),
        }
    }
    pub fn plus(self, other: Demand) -> Demand {
        Demand {
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
        }
    }
    /// The larger of each.
    pub fn or_more(self, other: Demand) -> Demand {
        Demand {
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
        }
    }
}

impl Stack {
    /// Of all its services at once. `limits`: of those whose file says nothing else.
    pub fn demand(&self, limits: &Limits) -> Demand {
        let each = self
            .services
            .iter()
            .map(|service| Demand::of(&service.limits.or(limits), service.replicas));
        each.fold(Demand::default(), Demand::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StackLimits, StackService, World};

    #[test]
    fn a_part_has_no_more_than_the_whole() {
        let whole = QuotaLimits {
            apps: Some(3),
            ..QuotaLimits::default()
        };
        let part = |apps| QuotaLimits {
            apps,
            disk_bytes: Some(1 << 40),
            ..QuotaLimits::default()
        };
        assert!(part(Some(3)).within(&whole).is_ok() && part(None).within(&whole).is_ok());
        let refused = part(Some(4)).within(&whole).expect_err("too many").to_string();
        assert_eq!(refused, "apps: must be at most 3, which the whole organization may have");
        for (limits, field) in [
            (
                QuotaLimits {
                    traffic_cap: Some(0),
                    traffic_bytes: Some(1),
                    ..QuotaLimits::default()
                },
                "traffic_cap",
            ),
            (
                QuotaLimits {
                    traffic_cap: Some(9),
                    ..QuotaLimits::default()
                },
                "traffic_cap",
            ),
            (
                QuotaLimits {
                    builds_at_once: Some(0),
                    ..QuotaLimits::default()
                },
                "builds_at_once",
            ),
        ] {
            assert!(limits.checked().expect_err("says nothing").to_string().starts_with(field));
        }
    }

    #[test]
    fn a_month_ends_traffic_and_builds_but_no_disk() {
        let world = World::system();
        let (one, other): (ProjectId, ProjectId) = (world.id(), world.id());
        let mut meter = Meter::new(world.id(), "2026-11".into());
        let metered = Metered {
            disk_bytes: Some(5),
            traffic_bytes: 7,
            builds: 1,
        };
        meter.projects.insert(one.clone(), metered);
        meter.projects.insert(
            other,
            Metered {
                disk_bytes: None,
                ..metered
            },
        );
        meter.told.insert(format!("{one}/disk"), 80);
        meter.told.insert(format!("{one}/traffic"), 100);
        assert_eq!(
            meter.of(None),
            Metered {
                disk_bytes: Some(5),
                traffic_bytes: 14,
                builds: 2
            }
        );
        assert_eq!(meter.of(Some(&one)), metered);
        let same = meter.clone().in_month("2026-11");
        assert_eq!(same, meter);
        let next = meter.in_month("2026-12");
        assert_eq!(
            next.of(None),
            Metered {
                disk_bytes: Some(5),
                traffic_bytes: 0,
                builds: 0
            }
        );
        assert_eq!(next.told.len(), 1);
    }

    #[test]
    fn a_stack_is_all_its_containers() {
        let service = |memory_bytes, replicas| StackService {
            replicas,
            limits: StackLimits {
                memory_bytes,
                ..StackLimits::default()
            },
            ..StackService::default()
        };
        let stack = Stack {
            services: vec![service(Some(1 << 30), 2), service(None, 1), service(None, 0)],
            volumes: Vec::new(),
        };
        let demand = stack.demand(&Limits::default());
        assert_eq!((demand.memory_bytes, demand.cpu_millis), ((2 << 30) + (512 << 20), 3000));
    }
}
