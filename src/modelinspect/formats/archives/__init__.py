"""Archives, and files within files: zip, tar, gzip."""
