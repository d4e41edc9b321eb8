//! What each PHP extension takes on PHP's official images, which are Debian's.

/// How an extension comes into the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It is there.
    Present,
    /// From PHP's own sources.
    Bundled,
    /// From PHP's own sources, and there from this version on.
    BundledUntilPresent(u32, u32),
    /// From PHP's own sources, and from PECL from this version on.
    BundledUntilPecl(u32, u32),
    Pecl,
}

use How::{Bundled, BundledUntilPecl, BundledUntilPresent, Pecl, Present};

/// Name, how, and the Debian packages to build it with. A Dockerfile has the packages in this order.
const KNOWN: [(&str, How, &str); 86] = [
    ("gd", Bundled, "libpng-dev libjpeg-dev libwebp-dev libfreetype6-dev"),
    ("intl", Bundled, "libicu-dev"),
    ("zip", Bundled, "libzip-dev"),
    ("pgsql", Bundled, "libpq-dev"),
    ("pdo_pgsql", Bundled, "libpq-dev"),
    ("gmp", Bundled, "libgmp-dev"),
    ("soap", Bundled, "libxml2-dev"),
    ("ldap", Bundled, "libldap-dev"),
    ("bz2", Bundled, "libbz2-dev"),
    ("enchant", Bundled, "libenchant-2-dev"),
    ("ffi", Bundled, "libffi-dev"),
    ("ftp", Bundled, "libssl-dev"),
    ("pdo_odbc", Bundled, "unixodbc-dev"),
    ("snmp", Bundled, "libsnmp-dev"),
    ("tidy", Bundled, "libtidy-dev"),
    ("xsl", Bundled, "libxslt1-dev"),
    ("bcmath", Bundled, ""),
    ("calendar", Bundled, ""),
    ("dba", Bundled, ""),
    ("exif", Bundled, ""),
    ("gettext", Bundled, ""),
    ("mysqli", Bundled, ""),
    ("pcntl", Bundled, ""),
    ("pdo_mysql", Bundled, ""),
    ("shmop", Bundled, ""),
    ("sockets", Bundled, ""),
    ("sysvmsg", Bundled, ""),
    ("sysvsem", Bundled, ""),
    ("sysvshm", Bundled, ""),
    ("opcache", BundledUntilPresent(8, 5), ""),
    ("imap", BundledUntilPecl(8, 4), "libc-client2007e-dev libkrb5-dev"),
    ("pspell", BundledUntilPecl(8, 4), "libpspell-dev"),
    ("amqp", Pecl, "librabbitmq-dev"),
    ("grpc", Pecl, "zlib1g-dev"),
    ("imagick", Pecl, "libmagickwand-dev"),
    ("memcached", Pecl, "libmemcached-dev zlib1g-dev libssl-dev"),
    ("mongodb", Pecl, "libssl-dev libsasl2-dev libicu-dev zlib1g-dev"),
    ("rdkafka", Pecl, "librdkafka-dev"),
    ("uuid", Pecl, "uuid-dev"),
    ("yaml", Pecl, "libyaml-dev"),
    ("apcu", Pecl, ""),
    ("ast", Pecl, ""),
    ("ds", Pecl, ""),
    ("excimer", Pecl, ""),
    ("igbinary", Pecl, ""),
    ("inotify", Pecl, ""),
    ("mailparse", Pecl, ""),
    ("msgpack", Pecl, ""),
    ("opentelemetry", Pecl, ""),
    ("pcov", Pecl, ""),
    ("protobuf", Pecl, ""),
    ("redis", Pecl, ""),
    ("xdebug", Pecl, ""),
    ("core", Present, ""),
    ("ctype", Present, ""),
    ("curl", Present, ""),
    ("date", Present, ""),
    ("dom", Present, ""),
    ("fileinfo", Present, ""),
    ("filter", Present, ""),
    ("hash", Present, ""),
    ("iconv", Present, ""),
    ("json", Present, ""),
    ("libxml", Present, ""),
    ("mbstring", Present, ""),
    ("mysqlnd", Present, ""),
    ("openssl", Present, ""),
    ("pcre", Present, ""),
    ("pdo", Present, ""),
    ("pdo_sqlite", Present, ""),
    ("phar", Present, ""),
    ("posix", Present, ""),
    ("random", Present, ""),
    ("readline", Present, ""),
    ("reflection", Present, ""),
    ("session", Present, ""),
    ("simplexml", Present, ""),
    ("sodium", Present, ""),
    ("spl", Present, ""),
    ("sqlite3", Present, ""),
    ("standard", Present, ""),
    ("tokenizer", Present, ""),
    ("xml", Present, ""),
    ("xmlreader", Present, ""),
    ("xmlwriter", Present, ""),
    ("zlib", Present, ""),
];

/// What `docker-php-ext-configure` is to be told. PHP 8.4 has another name for FTP's TLS; each version passes over the one it does not know.
const OPTIONS: [(&str, &str); 4] = [
    ("gd", "--with-jpeg --with-webp --with-freetype"),
    ("imap", "--with-kerberos --with-imap-ssl"),
    ("ftp", "--with-openssl-dir=/usr --with-ftp-ssl=/usr"),
    ("pdo_odbc", "--with-pdo-odbc=unixODBC,/usr"),
];

/// The last Debian that has IMAP's library, and the first version of PHP whose plain tag is of a newer one.
const IMAP: (&str, (u32, u32)) = ("bookworm", (8, 1));

/// Extensions by the way in which each comes into an image of one version.
#[derive(Debug, Default)]
pub struct Extensions {
    /// Debian packages.
    pub libraries: Vec<String>,
    bundled: Vec<String>,
    pecl: Vec<String>,
    /// They are tried as bundled ones: an older PHP has some that are not in the table.
    pub unknown: Vec<String>,
}

impl Extensions {
    pub fn of(names: &[String], version: &str) -> Extensions {
        let mut sorted = Extensions::default();
        let names: Vec<String> = names.iter().map(|name| usual_name(name)).collect();
        for name in &names {
            match known(name).map(|how| how.at(version)) {
                Some(Present) => {}
                Some(Pecl) => sorted.pecl.push(name.clone()),
                Some(_) => sorted.bundled.push(name.clone()),
                None => {
                    sorted.bundled.push(name.clone());
                    sorted.unknown.push(name.clone());
                }
            }
        }
        let needed = KNOWN.iter().filter(|(name, ..)| names.iter().any(|wanted| wanted == name));
        for library in needed.flat_map(|(_, _, libraries)| libraries.split_whitespace()) {
            if !sorted.libraries.iter().any(|has| has == library) {
                sorted.libraries.push(library.to_owned());
            }
        }
        sorted
    }

    /// PHP with Apache, of a Debian that has what they need.
    pub fn image(&self, version: &str) -> String {
        let (debian, since) = IMAP;
        let has_imap = self.bundled.iter().chain(&self.pecl).any(|name| name == "imap");
        match has_imap && number(version) >= since {
            true => format!("php:{version}-apache-{debian}"),
            false => format!("php:{version}-apache"),
        }
    }

    /// What builds them.
    pub fn commands(&self) -> Vec<String> {
        let is_bundled = |name: &str| self.bundled.iter().any(|bundled| bundled == name);
        let mut commands: Vec<String> = OPTIONS
            .iter()
            .filter(|(name, _)| is_bundled(name))
            .map(|(name, options)| format!("docker-php-ext-configure {name} {options}"))
            .collect();
        if !self.bundled.is_empty() {
            commands.push(format!("docker-php-ext-install -j2 {}", self.bundled.join(" ")));
        }
        // PECL's installer may end well although a build failed; what is not there cannot be enabled.
        let from_pecl = self.pecl.iter();
        commands.extend(from_pecl.map(|name| format!("pecl install {name} && docker-php-ext-enable {name}")));
        commands
    }
}

impl How {
    /// Of `Present`, `Bundled` and `Pecl`, the one that holds for this version.
    fn at(self, version: &str) -> How {
        match self {
            BundledUntilPresent(major, minor) if number(version) >= (major, minor) => Present,
            BundledUntilPecl(major, minor) if number(version) >= (major, minor) => Pecl,
            BundledUntilPresent(..) | BundledUntilPecl(..) => Bundled,
            other => other,
        }
    }
}

/// As the images call it: composer.json may have `ext-PDO`, and the cache of code by its full name.
pub fn usual_name(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "zend-opcache" => "opcache".to_owned(),
        name => name.to_owned(),
    }
}

/// Whether every version has it.
pub fn is_always_present(name: &str) -> bool {
    known(name) == Some(Present)
}

fn known(name: &str) -> Option<How> {
    KNOWN.iter().find(|(known, ..)| *known == name).map(|(_, how, _)| *how)
}

/// `8.3.4` is 8.3; `8` is the newest of its minor versions.
fn number(version: &str) -> (u32, u32) {
    let part = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok()).unwrap_or(u32::MAX);
    let mut parts = version.split(['.', '-']);
    (part(parts.next()), part(parts.next()))
}
