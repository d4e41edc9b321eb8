<?php // Wants an extension that PHP's own sources do not have.
echo "hello from php, ", implode(" and ", igbinary_unserialize(igbinary_serialize(["bell", "buoy"]))), " by igbinary ", phpversion("igbinary");
