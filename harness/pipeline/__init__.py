"""From YAML to a plan: what a user wrote, what will run, what is equal across arms."""
