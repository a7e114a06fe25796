"""What is known of the hosts, and how their files are changed."""
