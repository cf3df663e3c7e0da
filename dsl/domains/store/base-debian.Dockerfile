FROM base-debian
