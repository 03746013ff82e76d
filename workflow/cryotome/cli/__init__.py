"""Programs behind `make data`, `weights`, `plan`, `status`, `doctor` and `page`."""
