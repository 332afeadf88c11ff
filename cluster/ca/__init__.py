"""Who is who: the cluster's certificate authority."""
