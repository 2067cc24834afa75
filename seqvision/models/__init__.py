"""The network: an encoder for each step (`encoders`), a head over time (`heads`), joined in
`classifier`."""
