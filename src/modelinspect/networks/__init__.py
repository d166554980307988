"""How the layers of a network follow one another, and what each holds: read from the artifact, without
running it.
"""
