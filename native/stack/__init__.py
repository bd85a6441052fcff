"""The native stack: what is behind `make up` and its siblings.

Layout:

- `say`       what is printed, and `Trouble`, the one error that people see
- `layout`    where everything is: ports, folders, settings, secrets
- `packages`  Debian packages: what is missing and how to get it
- `render`    templates to configuration files
- `processes` who holds a port, who is still alive
- `build`     cargo, and the copy of the binaries that the stack runs
- `database`  the private PostgreSQL cluster, its roles and migrations
- `queries`   the committed descriptions of the SQL queries
- `supervise` supervisor over its socket
- `redis`     a question to Redis
- `replicas`  how many of each program run, and how nginx and Prometheus learn of it
- `llm`       the build of llm-service in the background
- `snapshot`  the database at one moment, and what tells that another one is the same
- `up`, `status`, `stop`, `backup`, `restore`, `rotate`  the commands

Only the standard library, because Debian's python3 has to do before anything is installed.
"""
