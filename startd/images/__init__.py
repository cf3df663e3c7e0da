"""The images that runs are started from: `store` asks the engine, `base` makes the default one, `layer` fits an
image out for our runs. What builds and carries images of domains finds its place here."""
