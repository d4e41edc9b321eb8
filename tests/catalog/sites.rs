//! PHP: WordPress with its database, and the two database consoles.

use super::Installed;
use serde_json::json;
use testkit::TestPanel;

#[tokio::test]
async fn docker_catalog_wordpress_with_mariadb() {
    let panel = TestPanel::docker().await;
    let app = Installed::new(&panel, "wordpress", json!({})).await;
    assert!(app.first_login.contains("/wp-admin/install.php"), "{}", app.first_login);
    let page = app.says("/wp-admin/install.php", "Installation").await;
    assert!(!page.text().contains("http://wordpress.test"), "links are https");
    let form = [
        ("weblog_title", "Otters of the north"),
        ("user_name", "otter"),
        ("admin_password", "seven quiet otters"),
        ("admin_password2", "seven quiet otters"),
        ("admin_email", "otter@example.test"),
        ("language", ""),
        ("Submit", "Install WordPress"),
    ];
    let request = app.request(reqwest::Method::POST, "/wp-admin/install.php?step=2").form(&form);
    let said = app.send(request).await.expect(200).text();
    assert!(said.contains("Success"), "{said}");
    app.says("/", "Otters of the north").await;
    app.says("/wp-login.php", "<form name=\"loginform\"").await;
    let form = [
        ("log", "otter"),
        ("pwd", "seven quiet otters"),
        ("wp-submit", "Log In"),
        ("testcookie", "1"),
    ];
    let request = app
        .request(reqwest::Method::POST, "/wp-login.php")
        .form(&form)
        .header("cookie", "wordpress_test_cookie=WP+Cookie+check");
    let signed = app.send(request).await.expect(302);
    assert!(
        signed.header("location").unwrap().starts_with("https://wordpress.test"),
        "{signed:?}"
    );
    let secure = signed.headers.get_all("set-cookie").iter().any(|cookie| {
        let cookie = cookie.to_str().unwrap();
        cookie.starts_with("wordpress_logged_in_") && cookie.to_lowercase().contains("secure")
    });
    assert!(secure, "{:?}", signed.headers);
    let posts = app.run(
        "db",
        &[
            "mariadb",
            "-N",
            "-u",
            "wordpress",
            &format!("-p{}", app.value("db_password")),
            "wordpress",
            "-e",
            "select count(*) from wp_posts",
        ],
    );
    assert!(posts.parse::<u32>().unwrap() > 0, "{posts}");
    app.remove().await;
}

#[tokio::test]
async fn docker_catalog_adminer_and_phpmyadmin() {
    let panel = TestPanel::docker().await;
    let database = Installed::new(&panel, "mariadb", json!({})).await;
    let app = Installed::new(&panel, "adminer", json!({"default_server": "mariadb"})).await;
    let page = app.says("/", "Login - Adminer").await.text();
    assert!(page.contains("name=\"auth[server]\" value=\"mariadb\""), "{page}");
    app.remove().await;

    let app = Installed::new(&panel, "phpmyadmin", json!({})).await;
    let page = app.says("/", "phpMyAdmin").await.text();
    assert!(page.contains("pma_servername"), "a server may be typed: {page}");
    app.remove().await;
    database.remove().await;
}
