"""What becomes of records: boards, submissions, MLPerf logs, exports."""
