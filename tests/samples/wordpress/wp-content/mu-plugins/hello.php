<?php // A plugin of the repository's own: it answers at /?hello.
add_action('init', function () {
    if (isset($_GET['hello'])) {
        echo 'hello from wordpress at ', get_bloginfo('name');
        exit;
    }
});
