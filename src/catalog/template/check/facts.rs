//! What a template says of itself: its names, texts, addresses and needs.

use super::Checker;
use crate::template::{CATEGORIES, HealthKind, KnownAccount, is_name};
use regex::Regex;

impl Checker<'_> {
    /// What it says of itself.
    pub(super) fn facts(&mut self, folder: &str) {
        let template = self.template;
        self.unless(template.schema == 1, "schema must be 1");
        self.unless(is_name(&template.name), "name must be 2 to 40 of a-z, 0-9 and -");
        self.unless(template.name == folder, format!("name must be that of its folder, `{folder}`"));
        self.unless(
            !template.title.trim().is_empty() && template.title.len() <= 40,
            "title must have 1 to 40 letters",
        );
        let version = Regex::new(r"^[0-9A-Za-z][0-9A-Za-z.+_-]*-[0-9]+$").expect("a literal pattern");
        self.unless(
            version.is_match(&template.version),
            "version must be the app's version and a revision, such as 6.6.2-1",
        );
        let description = template.description.trim();
        self.unless(
            !description.is_empty() && description.chars().count() <= 140,
            "description must be one sentence of at most 140 letters",
        );
        self.unless(
            description.ends_with('.') && !description.contains('\n'),
            "description must be one sentence with its full stop",
        );
        self.unless(template.details.trim().len() >= 40, "details must say in some sentences what it is");
        self.unless(
            (1..=2).contains(&template.icon.text.chars().count()),
            "icon.text must be one or two letters",
        );
        let color = template.icon.color.strip_prefix('#').unwrap_or_default();
        self.unless(
            color.len() == 6 && color.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "icon.color must be like #21759b",
        );
        self.unless(!template.categories.is_empty(), "categories must name one at least");
        for category in &template.categories {
            self.unless(
                CATEGORIES.contains(&category.as_str()),
                format!("the category `{category}` is not known"),
            );
        }
        self.unless(!template.licence.trim().is_empty(), "licence must be said");
        for link in [&template.links.website, &template.links.documentation, &template.links.source]
            .into_iter()
            .flatten()
        {
            self.unless(
                link.starts_with("https://") && !link.contains(char::is_whitespace),
                format!("`{link}` must be an https:// address"),
            );
        }
        self.unless(
            template.links.website.is_some() || template.links.source.is_some(),
            "links must have the website or the source",
        );
        self.unless(template.needs.memory_mb >= 16, "needs.memory_mb must say what it needs");
        self.unless(template.needs.disk_mb >= 1, "needs.disk_mb must say what it needs");
        if let Some(health) = &template.main.health {
            let path = health.path.as_deref();
            let fits = match health.kind {
                HealthKind::Http => path.is_some_and(|path| path.starts_with('/')),
                HealthKind::Tcp => path.is_none(),
            };
            self.unless(fits, "main.health needs a path that begins with / for http, and none for tcp");
            self.unless(
                template.main.web || health.kind == HealthKind::Tcp,
                "main.health asks by HTTP, and main.web says that it answers none",
            );
        }
        if let Some(KnownAccount { user, password }) = &template.known_account {
            let told = template.first_login.as_deref().unwrap_or_default();
            self.unless(
                !user.is_empty() && !password.is_empty() && told.contains(password.as_str()),
                "known_account needs a user and a password, and first_login must tell the password",
            );
        }
        if !template.rights.is_empty() {
            let reason = template.differs.as_deref().unwrap_or_default().trim().len() >= 20;
            self.unless(reason, "rights are asked for, so differs must say why");
        }
    }
}
