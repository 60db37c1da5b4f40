"""The databases of the matrix, one of which is in use at a time."""

#: The databases of the matrix.
DATABASES = ("sqlite", "postgres")


class Router:
    """Everything goes to one database, named by the test."""

    database = "default"

    def db_for_read(self, model, **hints):
        return Router.database

    def db_for_write(self, model, **hints):
        return Router.database

    def allow_relation(self, first, second, **hints):
        return True
