from .card import card_html
from .page import DatasetPage, dataset_page, landing_page, page_folder

__all__ = ["DatasetPage", "card_html", "dataset_page", "landing_page", "page_folder"]
