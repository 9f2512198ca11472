"""A trained model answers over HTTP, by a server that others wrote, and what that server takes under load.

Parts: what is served (`chosen`), as a folder (`folder`), by which program (`engines`), in a process that ends
with this one (`child_server`, `child`); requests (`asking`), load figures (`load`, `figures`) and whether the
answers are those of the run (`compared`). The parent imports neither torch nor transformers.
"""
