-- The role that may replicate and nothing else. Each standby runs this on its primary before it copies it
\getenv password REPLICATION_PASSWORD
SET synchronous_commit = local; -- no standby can confirm it yet
SELECT count(*) = 0 AS missing FROM pg_roles WHERE rolname = 'replicator' \gset
\if :missing
CREATE ROLE replicator LOGIN REPLICATION;
\endif
ALTER ROLE replicator PASSWORD :'password';
