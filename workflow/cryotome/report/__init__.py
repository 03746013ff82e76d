"""Tables, figures, error atlas and page of a study."""
