from cryotome import errors


def test_the_drawn_tree_names_every_error():
    names = {
        n
        for n, v in vars(errors).items()
        if isinstance(v, type) and v.__module__ == errors.__name__
    }
    assert all(issubclass(getattr(errors, name), errors.CryotomeError) for name in names)
    assert all(name in errors.__doc__ for name in names)
