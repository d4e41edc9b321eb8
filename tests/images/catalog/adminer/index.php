<?php
// Adminer as its image has it: ADMINER_DEFAULT_SERVER stands in the form.
function adminer_object()
{
    class Prefilled extends Adminer
    {
        function loginFormField($name, $heading, $value)
        {
            $server = htmlspecialchars(getenv('ADMINER_DEFAULT_SERVER') ?: 'db');
            return parent::loginFormField($name, $heading, str_replace('name="auth[server]" value=""', "name=\"auth[server]\" value=\"$server\"", $value));
        }
    }
    return new Prefilled;
}
chdir('/usr/share/adminer');
include '/usr/share/adminer/adminer.php';
