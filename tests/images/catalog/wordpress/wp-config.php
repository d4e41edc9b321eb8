<?php
// Everything from the environment; the keys are told by WORDPRESS_…_KEY or made of the database's password.
$table_prefix = getenv('WORDPRESS_TABLE_PREFIX') ?: 'wp_';
define('DB_NAME', getenv('WORDPRESS_DB_NAME') ?: 'wordpress');
define('DB_USER', getenv('WORDPRESS_DB_USER') ?: 'example username');
define('DB_PASSWORD', getenv('WORDPRESS_DB_PASSWORD') ?: 'example password');
define('DB_HOST', getenv('WORDPRESS_DB_HOST') ?: 'mysql');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT', 'NONCE_SALT'] as $name) {
    define($name, getenv("WORDPRESS_$name") ?: hash('sha256', $name . DB_PASSWORD));
}
// TLS ends before this container.
if (strpos($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '', 'https') !== false) {
    $_SERVER['HTTPS'] = 'on';
}
defined('ABSPATH') || define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
