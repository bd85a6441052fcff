"""What is behind `make test-compose`: compose.yaml held to its specification and run, on a machine without a Docker engine.

- `spec`      compose.yaml against the compose specification, and as compose itself reads it
- `debian`    packages and root filesystems of this and other Debian releases
- `images`    what the containers are made of: our own images, and stand-ins under the official names
- `engine`    podman in namespaces of its own, so that nothing of the machine is touched
- `journey`   up, sign-up, post, verdict, more replicas under traffic, fewer, down

Only the standard library, as in native/stack.
"""
