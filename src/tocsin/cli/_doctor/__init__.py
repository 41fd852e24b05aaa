"""What `tocsin doctor` looks at: Tocsin itself, and each destination."""
