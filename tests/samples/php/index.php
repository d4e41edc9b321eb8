<?php // PHP without a Dockerfile, with an address of its own by .htaccess.
echo "hello from php ", PHP_MAJOR_VERSION, " at ", $_GET['page'] ?? 'home';
