# What is granted: to read the secrets of production.
path "secret/data/production/*" { capabilities = ["read"] }
