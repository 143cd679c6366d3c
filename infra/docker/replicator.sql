-- The role that may replicate, and do nothing else; asked for by each standby before it copies its primary
\getenv password REPLICATION_PASSWORD
SET synchronous_commit = local; -- nobody can confirm it yet
SELECT count(*) = 0 AS missing FROM pg_roles WHERE rolname = 'replicator' \gset
\if :missing
CREATE ROLE replicator LOGIN REPLICATION;
\endif
ALTER ROLE replicator PASSWORD :'password';
