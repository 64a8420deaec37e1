"""The kinds of trouble that were found, and the permanent tests that cover each of them.

A folder `shared/cases` beside the checkout, where it exists, has a small failing input for each
kind. `python -m tests.support.cases` runs the tests of every folder, and fails if a folder has no
test or a test fails:

    python -m tests.support.cases [FOLDER]
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FOLDER = ROOT.parent / "shared" / "cases"
NETWORK = "tests/transfer/protocols/test_network.py::"
# Folder -> its tests, without parameters.
CASES: dict[str, tuple[str, ...]] = {
    "all-proxy": (
        NETWORK + "test_a_proxy_is_found_in_every_variable_with_and_without_its_scheme",
    ),
    "autocrlf-clone": (
        "tests/curate/test_history.py::test_line_ends_that_git_changed_are_named_and_can_be_undone",
        "tests/curate/test_history.py::test_a_registry_is_started_with_attributes_that_keep_line_ends",
        "tests/curate/test_history.py::test_a_published_hash_is_not_derived_again",
    ),
    "empty-home-variable": (
        "tests/registry/test_registry.py::test_an_empty_variable_names_no_registry",
        "tests/registry/test_registry.py::test_a_tilde_is_the_home_of_the_user",
        "tests/cli/test_environment.py::test_an_empty_variable_is_not_the_current_folder",
    ),
    "fdsn-ignores-proxy": (NETWORK + "test_the_event_service_is_asked_through_the_proxy",),
    "fsync-of-folder": (
        "tests/transfer/download/test_engine_shared.py::"
        "test_a_folder_that_cannot_be_flushed_is_no_failure",
    ),
    "home-as-str": ("tests/cli/test_environment.py::test_paths_of_the_api_are_texts_too",),
    "http-forced-gzip": (
        "tests/transfer/download/test_engine_encodings.py::"
        "test_nginx_with_compressed_copies_only_gives_the_file",
        "tests/transfer/download/test_engine_encodings.py::"
        "test_a_file_that_is_sent_compressed_is_decoded",
    ),
    "mirror-with-password": (
        NETWORK + "test_credentials_of_a_mirror_are_sent_and_not_part_of_its_address",
        NETWORK + "test_no_file_and_no_line_has_the_password",
        NETWORK + "test_netrc_is_read",
        "tests/curate/test_start_dataset.py::test_a_password_is_not_written_into_a_registry",
    ),
    "new-on-annex-clone": (
        "tests/curate/test_inventory.py::test_links_of_a_snapshot_are_files_and_a_clone_is_left_out",
        "tests/curate/test_inventory.py::test_every_link_and_name_that_cannot_be_listed_is_named",
    ),
    "no-file-locks": (
        "tests/test_home.py::test_a_file_is_the_lock_where_the_file_system_has_no_locks",
        "tests/test_home.py::test_hdf5_files_are_opened_where_the_file_system_has_no_locks",
    ),
    "prerelease-is-newest": (
        "tests/registry/test_registry.py::test_pre_releases_come_before_their_release",
        "tests/registry/test_registry.py::"
        "test_a_pre_release_is_the_latest_only_where_there_is_no_release",
        "tests/registry/test_registry.py::test_digits_of_other_scripts_are_words",
    ),
    "proxy-credentials": (
        NETWORK + "test_a_password_of_a_proxy_is_decoded_and_sent",
        NETWORK + "test_a_password_of_a_proxy_is_sent_for_a_tunnel",
        NETWORK + "test_a_proxy_that_refuses_the_password_is_named_without_it",
    ),
    "proxy-without-scheme": (
        NETWORK + "test_a_proxy_is_found_in_every_variable_with_and_without_its_scheme",
    ),
    "resume-option-names": (
        "tests/cli/test_run.py::test_a_wrong_call_exits_2_and_says_what_is_wrong",
    ),
    "s3-folder-marker": (
        "tests/transfer/listing/test_keys.py::test_what_is_no_file_is_left_out_counted_and_named",
    ),
    "s3-redirect-without-location": (
        "tests/transfer/listing/test_keys.py::"
        "test_a_bucket_of_another_region_is_asked_once_and_the_remedy_is_said",
        "tests/transfer/protocols/test_sources.py::"
        "test_amazon_is_asked_again_in_the_region_that_it_names",
    ),
    "security-bad-uri": (
        "tests/registry/test_hostile_registry.py::test_what_is_not_an_address_is_refused",
        "tests/registry/test_hostile_registry.py::test_every_address_of_a_descriptor_is_checked",
    ),
    "security-convert-disk-full": (
        "tests/ready/test_full_disk.py::test_convert_says_that_the_disk_is_full",
        "tests/ready/test_full_disk.py::"
        "test_a_file_is_whole_or_absent_however_little_room_there_is",
    ),
    "security-deep-json": (
        "tests/test_home.py::test_json_that_later_code_could_not_handle_is_refused",
        "tests/registry/test_hostile_registry.py::test_a_hostile_descriptor_is_a_sentence_in_every_verb",
    ),
    "security-fake-run": (
        "tests/registry/test_hostile_registry.py::test_check_names_a_reserved_dataset",
        "tests/bench/record/test_stored_runs.py::"
        "test_a_folder_that_no_run_wrote_is_named_and_not_listed",
    ),
    "security-hdf5-external": (
        "tests/formats/test_hdf5_files.py::"
        "test_a_file_that_is_not_complete_in_itself_is_refused_by_name",
        "tests/formats/test_hdf5_files.py::test_every_native_format_refuses_it_by_name",
    ),
    "security-hostile-headers": (
        "tests/transfer/protocols/test_hostile_answers.py::"
        "test_a_bad_header_of_one_mirror_fails_that_mirror_only",
        "tests/transfer/protocols/test_hostile_answers.py::"
        "test_a_bad_header_of_the_only_mirror_is_a_sentence",
    ),
    "security-oversize-body": (
        "tests/transfer/download/test_engine_framings.py::"
        "test_a_body_that_is_longer_than_listed_is_not_published",
        "tests/transfer/download/test_engine_framings.py::"
        "test_verify_names_a_file_that_is_longer_than_listed_and_repair_fetches_it",
    ),
    "security-rescore-hostile-predictions": (
        "tests/bench/run/test_rescoring.py::test_a_run_whose_predictions_are_none_is_a_sentence",
        "tests/results/submission/test_submission_predictions.py::"
        "test_predictions_that_are_none_are_refused_by_their_name_and_never_scored",
    ),
    "security-runner-rce": (
        "tests/cli/test_code_of_strangers.py::test_the_code_of_a_registry_is_not_run",
    ),
    "shared-home": (
        "tests/test_shared_homes.py::test_a_read_only_home_with_all_files_is_enough",
        "tests/test_shared_homes.py::test_files_follow_the_umask_and_the_group_of_their_folder",
        "tests/transfer/download/test_engine_shared.py::"
        "test_another_member_of_the_group_resumes_a_cut_transfer",
    ),
}  # fmt: skip


def case_folders(root: Path) -> list[str]:
    """Return the names of the folders with a case; `_common` and the like have none."""
    return sorted(path.name for path in root.iterdir() if path.is_dir() and path.name[0] != "_")


class Recorder:
    """Counts the outcomes of each test, its parameters together."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once: its call, or what fails or is skipped before or after it."""
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.partition("[")[0]
            self.outcomes.setdefault(name, Counter())[report.outcome] += 1


def verdicts(folders: list[str], outcomes: dict[str, Counter[str]]) -> dict[str, str]:
    """Return for each folder `ok`, `skipped`, or what is wrong."""
    found = {}
    for folder in folders:
        counts = [outcomes.get(test, Counter()) for test in CASES.get(folder, ())]
        if not counts:
            found[folder] = "FAILED: no permanent test"
        elif not all(counts):
            found[folder] = "FAILED: a test does not exist"
        elif any(count["failed"] for count in counts):
            found[folder] = "FAILED: a test fails"
        elif not all(count["passed"] for count in counts):
            found[folder] = "skipped here"
        else:
            found[folder] = "ok"
    return found


def main(root: Path) -> int:
    """Run the tests of every folder, print a line for each, and return the exit code."""
    if not root.is_dir():
        print(f"no folder {root}: nothing to run")  # noqa: T201
        return 0
    folders = case_folders(root)
    tests = sorted({test for folder in folders for test in CASES.get(folder, ())})
    recorder = Recorder()
    options = ["-q", "--no-header", "-m", "not gateway and not browser"]
    pytest.main([*options, *tests], plugins=[recorder])
    found = verdicts(folders, recorder.outcomes)
    for folder, verdict in found.items():
        print(f"{folder:<40} {len(CASES.get(folder, ()))} tests  {verdict}")  # noqa: T201
    return int(any(verdict.startswith("FAILED") for verdict in found.values()))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else FOLDER))
