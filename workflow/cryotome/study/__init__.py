"""What a study is: the cards that meet in its config, its rows, schemes, products and site."""
