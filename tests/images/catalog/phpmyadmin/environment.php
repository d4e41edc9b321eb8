<?php
// The variables of the public image that the catalog uses, and the usual ones beside them.
$cfg['AllowArbitraryServer'] = (bool) getenv('PMA_ARBITRARY');
if (getenv('PMA_ABSOLUTE_URI')) {
    $cfg['PmaAbsoluteUri'] = getenv('PMA_ABSOLUTE_URI');
}
if (getenv('PMA_HOST')) {
    $cfg['Servers'][1]['host'] = getenv('PMA_HOST');
    $cfg['Servers'][1]['port'] = getenv('PMA_PORT') ?: '';
}
$cfg['Servers'][1]['auth_type'] = 'cookie';
$cfg['TempDir'] = '/tmp';
