"""`python -m sciml_data` is `sciml-data`."""

from sciml_data.cli import main

if __name__ == "__main__":
    main()
