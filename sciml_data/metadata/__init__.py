"""FAIR in fact: what is known of a dataset, in the standard forms that other programs read.

facts       a descriptor as one frozen `Facts`, of which every export is made; `parts` has its parts
addresses   public addresses and identifiers
forms       which forms there are, and the name of each file beside the landing page
croissant, datacite, schema_org, rocrate, dcat, cite   one form each
"""
