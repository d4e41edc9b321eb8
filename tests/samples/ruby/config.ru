# Sinatra without a Dockerfile.
require 'sinatra'

get('/') { 'hello from ruby' }
run Sinatra::Application
