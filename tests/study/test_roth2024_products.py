from cryotome.study.product import ROTH
from cryotome.study.products import PRODUCTS
from cryotome.study.roth2024_products import ROTH_PRODUCTS


def test_they_are_products_in_a_folder_and_a_section_of_their_own():
    assert all(product in PRODUCTS for product in ROTH_PRODUCTS)
    assert {product.section for product in ROTH_PRODUCTS} == {ROTH}
    assert all(product.stem.startswith("colorectal/") for product in ROTH_PRODUCTS)
    others = [product for product in PRODUCTS if product not in ROTH_PRODUCTS]
    assert ROTH not in {product.section for product in others}
