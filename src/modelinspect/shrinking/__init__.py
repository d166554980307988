"""Write smaller model files and prove that nothing in them changed."""
